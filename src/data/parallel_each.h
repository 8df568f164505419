// A loop over independent items in threads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace yolov3 {

// Calls work(i) once for each i in [0,count) from `threads` threads (0 = all processors), the caller's among them.
// `label` is shown with the progress; empty = quiet. Errors: the one of the lowest i that failed is thrown at the end;
// Ctrl-C ends the loop with an Error.
void parallel_each(int64_t count, int threads, const std::string& label, const std::function<void(int64_t)>& work);

}  // namespace yolov3
