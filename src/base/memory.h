// How much memory this process has and may still have.
// Units: bytes. Threads: any.
#pragma once

#include <cstdint>
#include <filesystem>

namespace yolov3 {

// What this machine has, or where a control group allows less (a container), that.
int64_t machine_memory();

int64_t process_memory();  // resident now
int64_t peak_memory();     // resident at most, so far

// What can still be had without pushing others out: the least of what the machine has available and of what the control
// groups of this process (version 2 or 1, all levels) leave it; pages of files that a group can give up count as free.
// root: where /proc and /sys are, for tests. Returns -1 where the system does not say.
int64_t available_memory(const std::filesystem::path& root = "/");

}  // namespace yolov3
