// The threads of a block as OS threads: std::barrier is __syncthreads.
#pragma once

#include <barrier>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace cuda_on_cpu {

constexpr std::chrono::seconds PATIENCE{120};  // for one launch, under a sanitizer

// The barriers of one block. Made anew for every block, because a thread that
// returns leaves them for good: as on a GPU, the others do not wait for it.
struct Barriers {
    std::barrier<> block;
    std::vector<std::unique_ptr<std::barrier<>>> warps;
    explicit Barriers(unsigned threads) : block(threads) {
        for (unsigned w = 0; w < threads / WARP; ++w) warps.push_back(std::make_unique<std::barrier<>>(WARP));
    }
};

struct Member {
    Self self;
    std::barrier<>*block = nullptr, *warp = nullptr;
    unsigned block_syncs = 0, warp_syncs = 0;  // barriers passed in this block
};
inline thread_local Member member;

inline void sync_block() {
    ++member.block_syncs;
    member.block->arrive_and_wait();
}

inline void sync_warp() {
    ++member.warp_syncs;
    member.warp->arrive_and_wait();
}

template <class Begin, class Enter>
std::string run_crew(unsigned threads, std::size_t blocks, Begin begin, Enter enter, const std::function<void()>& kernel) {
    std::vector<unsigned> block_syncs(threads), warp_syncs(threads);
    std::optional<Barriers> barriers;
    std::string failure;
    std::size_t begun = 0;

    // Runs in one thread while all others wait: looks back at the block that
    // has ended and prepares the next one.
    auto between = [&]() noexcept {
        for (unsigned t = 0; t < threads; ++t) {
            if (block_syncs[t] != block_syncs[0]) failure = "__syncthreads was not reached by all threads of a block";
            if (warp_syncs[t] != warp_syncs[t - t % WARP]) failure = "a warp operation was not reached by all its lanes";
        }
        begin(begun++);
        barriers.emplace(threads);
    };
    std::barrier<decltype(between)> between_blocks(threads, between);

    const auto work = [&](unsigned t) {
        self = &member.self;
        for (std::size_t b = 0; b < blocks; ++b) {
            between_blocks.arrive_and_wait();
            member.block = &barriers->block;
            member.warp = barriers->warps[t / WARP].get();
            member.block_syncs = member.warp_syncs = 0;
            enter(member.self, t, b);
            kernel();
            block_syncs[t] = member.block_syncs;
            warp_syncs[t] = member.warp_syncs;
            member.warp->arrive_and_drop();
            member.block->arrive_and_drop();
        }
        between_blocks.arrive_and_wait();
    };

    // Threads that wait at different barriers wait for ever; no test suite should.
    std::mutex mutex;
    std::condition_variable changed;
    bool finished = false;
    std::thread watchdog([&] {
        std::unique_lock<std::mutex> lock(mutex);
        if (!changed.wait_for(lock, PATIENCE, [&] { return finished; })) die("the threads of a block wait at different barriers");
    });
    std::vector<std::thread> crew;
    for (unsigned t = 0; t < threads; ++t) crew.emplace_back(work, t);
    for (auto& thread : crew) thread.join();
    {
        std::lock_guard<std::mutex> lock(mutex);
        finished = true;
    }
    changed.notify_one();
    watchdog.join();
    return failure;
}

}  // namespace cuda_on_cpu
