// Line charts as SVG text: one self-contained file that a browser, a report page or an editor shows, in light and dark.
//
// Points that are NaN or infinite (or not above 0 on a log axis) are skipped; the line is broken there. Text is
// escaped.
#pragma once

#include <string>
#include <vector>

namespace yolov3 {

struct Series {
  std::string label;
  std::vector<double> x, y;  // of equal length
};

struct PlotOptions {
  std::string title, x_label, y_label;
  int width = 720, height = 420;  // CSS pixels; the picture scales
  bool log_y = false;
};

std::string svg_plot(const std::vector<Series>& series, const PlotOptions& options);

}  // namespace yolov3
