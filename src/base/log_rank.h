// Of several processes that do one thing together, one speaks: the others say warnings and errors alone, with their
// number.
#pragma once

namespace yolov3 {

void log_as_rank(int rank);  // of this process; 0 says everything, which is how it begins

}  // namespace yolov3
