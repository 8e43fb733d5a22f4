// The threads of a block as fibers of one OS thread: a fiber runs until it
// waits or ends, then the next one runs. Also finds every barrier that not all
// threads reach.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

namespace cuda_on_cpu {

constexpr std::size_t STACK = 64 * 1024;

enum class State { ready, at_block, at_warp, ended };

struct Fiber {
    Self self;
    State state = State::ended;
    bool started = false;
    ucontext_t start;
    jmp_buf where;
    std::unique_ptr<char[]> stack{new char[STACK]};
};

inline Fiber* running;
inline jmp_buf scheduler;
inline const std::function<void()>* work;

// setjmp without signal masks costs no system call; swapcontext costs two.
inline void leave(State state) {
    running->state = state;
    if (!_setjmp(running->where)) _longjmp(scheduler, 1);
}

inline void sync_block() { leave(State::at_block); }
inline void sync_warp() { leave(State::at_warp); }

inline void live() {  // one kernel call per block
    for (;;) {
        (*work)();
        leave(State::ended);
    }
}

__attribute__((noinline)) inline void resume(Fiber* fiber) {
    running = fiber;
    self = &fiber->self;
    if (_setjmp(scheduler)) return;
    if (fiber->started) _longjmp(fiber->where, 1);
    fiber->started = true;
    setcontext(&fiber->start);
}

// Lets the fibers [first, last) go on if all of them wait at `state`.
inline bool release(std::vector<Fiber>& fibers, std::size_t first, std::size_t last, State state) {
    for (std::size_t t = first; t < last; ++t)
        if (fibers[t].state != state) return false;
    for (std::size_t t = first; t < last; ++t) fibers[t].state = State::ready;
    return true;
}

template <class Begin, class Enter>
std::string run_crew(unsigned threads, std::size_t blocks, Begin begin, Enter enter, const std::function<void()>& kernel) {
    work = &kernel;
    std::vector<Fiber> fibers(threads);
    for (Fiber& fiber : fibers) {
        getcontext(&fiber.start);
        fiber.start.uc_stack.ss_sp = fiber.stack.get();
        fiber.start.uc_stack.ss_size = STACK;
        fiber.start.uc_link = nullptr;
        makecontext(&fiber.start, live, 0);
    }
    for (std::size_t b = 0; b < blocks; ++b) {
        begin(b);
        for (unsigned t = 0; t < threads; ++t) {
            enter(fibers[t].self, t, b);
            fibers[t].state = State::ready;
        }
        for (bool go_on = true; go_on;) {
            for (Fiber& fiber : fibers)
                if (fiber.state == State::ready) resume(&fiber);
            go_on = release(fibers, 0, threads, State::at_block);
            for (unsigned w = 0; w < threads; w += WARP) go_on |= release(fibers, w, w + WARP, State::at_warp);
        }
        for (Fiber& fiber : fibers) {
            if (fiber.state == State::at_block) return "__syncthreads was not reached by all threads of a block";
            if (fiber.state == State::at_warp) return "a warp operation was not reached by all its lanes";
        }
    }
    return "";
}

}  // namespace cuda_on_cpu
