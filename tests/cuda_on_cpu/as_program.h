// A .cu file compiled as a program that repeats recorded launches: the way to
// run a kernel under a sanitizer, whose run-time must be there from the start.
//
// The file of launches (written by sanitizers.py) holds, per launch, the
// kernel's name, seven sizes as in kernel_launch, the number of arguments, and
// per argument its buffer (-1 for a scalar), its length and its bytes.
// Arguments that name one buffer share its memory.
#pragma once

#include <fstream>
#include <iostream>
#include <map>

int main(int, char** argv) {
    std::ifstream in(argv[1], std::ios::binary);
    const auto number = [&] {
        long long value = 0;
        in.read(reinterpret_cast<char*>(&value), sizeof value);
        return value;
    };
    using Buffer = std::unique_ptr<char[]>;
    const auto bytes = [&](long long count) {
        Buffer buffer(new char[count]);
        in.read(buffer.get(), count);
        return buffer;
    };
    while (in.peek() != EOF) {
        const long long length = number();
        const std::string name(bytes(length).get(), length);
        long long sizes[7];
        for (auto& size : sizes) size = number();
        std::map<long long, Buffer> buffers;
        std::vector<Buffer> scalars;
        std::vector<void*> pointers, arguments(number());
        pointers.reserve(arguments.size());
        for (auto& argument : arguments) {
            const long long which = number(), count = number();
            Buffer value = bytes(count);
            if (which < 0) {
                scalars.push_back(std::move(value));
                argument = scalars.back().get();
            } else {
                const auto buffer = buffers.try_emplace(which, std::move(value)).first;
                pointers.push_back(buffer->second.get());
                argument = &pointers.back();
            }
        }
        const auto at = [&](int k) { return static_cast<unsigned>(sizes[k]); };
        const std::string failure = cuda_on_cpu::find(name)->launch(
            {at(0), at(1), at(2)}, {at(3), at(4), at(5)}, sizes[6], arguments.data());
        if (!failure.empty()) {
            std::cerr << name << ": " << failure << "\n";
            return 1;
        }
    }
}
