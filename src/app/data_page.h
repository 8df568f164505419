// What `yolov3 data check` found, as one HTML file that needs no other: figures, and pictures of the worst cases.
#pragma once

#include <string>

#include "app/data_findings.h"

namespace yolov3 {

// Pictures that cannot be read are left out; the text says what they are.
std::string data_page(const DataFindings& findings);

}  // namespace yolov3
