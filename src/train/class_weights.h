// How much each class counts in the class part of the loss.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"

namespace yolov3 {

// text: "none" or empty: no weights. "auto": 1/sqrt(objects of the class), scaled so that the mean over all objects is 1
// and the loss keeps its size; a class without objects has 1. "W,W,...": one a class in their order. Else a file of lines
// NAME WEIGHT; a class that it does not name has 1.
// Errors: another number of weights than classes, one that is not positive, an unknown or repeated name.
std::vector<double> make_class_weights(const std::string& text, const Dataset& train);

}  // namespace yolov3
