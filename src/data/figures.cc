#include "data/figures.h"

#include <fmt/format.h>

namespace yolov3 {

std::string counted(int64_t number, const std::string& what) {
  if (number == 1) return "1 " + what;
  return fmt::format("{} {}{}", number, what, what.ends_with('x') ? "es" : "s");
}

std::string percent_text(double share) {
  return share > 0 && share < 0.005 ? "<1%" : fmt::format("{:.0f}%", 100 * share);
}

}  // namespace yolov3
