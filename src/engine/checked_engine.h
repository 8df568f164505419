// An engine that runs two others and compares them: the fast one's maps are given back, and where they differ from the
// true one's by more than they may, an Error names the first layer that does. For doubts, tests and bug reports; slow.
#pragma once

#include <memory>

#include "engine/engine.h"

namespace yolov3 {

// tolerance: of a map, ||fast - truth|| / ||truth||.
std::unique_ptr<Engine> make_checked_engine(std::unique_ptr<Engine> fast, std::unique_ptr<Engine> truth,
                                            double tolerance);

// What rounding may do to the maps behind `convolutions` convolutions in this precision ("f32", "bf16", "int8"; "auto" as
// bf16). Each adds an error relative to its map's norm: f32 2e-6 (Winograd's algorithm, measured), bf16 2e-3
// (2^-9 / sqrt(3) each for input, kernel and output), int8 1.5e-2 (numbers spread over a fifth of the largest, rounded
// to 1/127 of it; 2e-2 without VNNI, where oneDNN keeps kernels in 7 bits). Independent errors add up by the root of their count; a margin of 5, 2.5 and 2 above that.
double precision_tolerance(const std::string& precision, size_t convolutions);

}  // namespace yolov3
