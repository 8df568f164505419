#include "image/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "base/error.h"

namespace yolov3 {
namespace {

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;  // XML 1.0 has no control characters
    }
  }
  return out;
}

struct Axis {
  double low = 0, high = 1;
  std::vector<double> ticks;
  bool log = false;

  double place(double value) const {  // 0 at low, 1 at high
    if (log) return (std::log(value) - std::log(low)) / (std::log(high) - std::log(low));
    return (value / 2 - low / 2) / (high / 2 - low / 2);  // halves: the range itself may be over the largest double
  }
};

// 1, 2 or 5 times a power of ten, so that about `count` of them fit.
double nice_step(double range, int count) {
  const double rough = range / count, power = std::pow(10.0, std::floor(std::log10(rough)));
  for (double step : {1.0, 2.0, 5.0}) {
    if (rough <= step * power * (1 + 1e-9)) return step * power;
  }
  return 10 * power;
}

Axis linear_axis(double low, double high, int count, bool widen) {
  if (!(high > low)) {
    const double room = low == 0 ? 0.5 : std::abs(low) * 0.1;
    low -= room;
    high += room;
    widen = false;
  }
  const double step = nice_step(high / 2 - low / 2 > 1e300 ? 1e300 : high - low, count);
  Axis axis{low, high, {}, false};
  if (widen) {
    axis.low = std::floor(low / step + 1e-9) * step;
    axis.high = std::ceil(high / step - 1e-9) * step;
  }
  const double first = std::ceil(axis.low / step - 1e-9);
  for (int i = 0; i < 50 && (first + i) * step <= axis.high + 1e-9 * step; ++i) {
    const double tick = (first + i) * step;
    axis.ticks.push_back(std::abs(tick) < 1e-9 * step ? 0 : tick);
  }
  return axis;
}

Axis log_axis(double low, double high) {
  const int first = static_cast<int>(std::floor(std::log10(low) + 1e-9));
  const int last = std::max(first + 1, static_cast<int>(std::ceil(std::log10(high) - 1e-9)));
  Axis axis{std::pow(10.0, first), std::pow(10.0, last), {}, true};
  const int every = (last - first) / 8 + 1;
  for (int e = first; e <= last; e += every) {
    axis.ticks.push_back(std::pow(10.0, e));
    if (last - first > 2 || e == last) continue;
    for (double middle : {2.0, 5.0}) axis.ticks.push_back(middle * std::pow(10.0, e));
  }
  return axis;
}

std::string tick_text(double value) {
  const double size = std::abs(value);
  return size != 0 && (size < 1e-3 || size >= 1e6) ? fmt::format("{:.3g}", value) : fmt::format("{:.6g}", value);
}

// Colours that stay apart for colour-blind eyes; the second set is for dark pages.
constexpr std::array kLight = {"#0b62c4", "#c8450c", "#0a7d58", "#9b3fa8", "#8a6d00", "#b3153f", "#00798a", "#5a5f66"};
constexpr std::array kDark = {"#6cb2ff", "#ff9a66", "#4fd1a1", "#dc9be6", "#e6c34a", "#ff7f9f", "#58d0e0", "#b4bac2"};

class Plot {
 public:
  Plot(const std::vector<Series>& series, const PlotOptions& options) : series_(series), options_(options) {
    for (const Series& s : series)
      check(s.x.size() == s.y.size(), "plot '{}': {} x values, {} y values", s.label, s.x.size(), s.y.size());
    check(options.width >= 200 && options.height >= 120, "a plot of {} x {} is too small", options.width,
          options.height);
    find_axes();
    arrange();
  }

  std::string draw() {
    open();
    grid();
    lines();
    legend();
    return out_ + "</svg>\n";
  }

 private:
  template <class... Args>
  void put(fmt::format_string<Args...> text, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), text, std::forward<Args>(args)...);
  }

  bool shown(double x, double y) const { return std::isfinite(x) && std::isfinite(y) && (!options_.log_y || y > 0); }

  void find_axes() {
    bool any = false;
    double x0 = 0, x1 = 1, y0 = options_.log_y ? 0.1 : 0, y1 = 1;
    for (const Series& s : series_) {
      for (size_t i = 0; i < s.x.size(); ++i) {
        if (!shown(s.x[i], s.y[i])) continue;
        if (!any) x0 = x1 = s.x[i], y0 = y1 = s.y[i];
        any = true;
        x0 = std::min(x0, s.x[i]), x1 = std::max(x1, s.x[i]);
        y0 = std::min(y0, s.y[i]), y1 = std::max(y1, s.y[i]);
      }
    }
    x_ = linear_axis(x0, x1, std::max(2, options_.width / 90), false);
    y_ = options_.log_y ? log_axis(y0, y1) : linear_axis(y0, y1, std::max(2, options_.height / 70), true);
  }

  // The legend's rows stand above the plot, as many as its labels need.
  void arrange() {
    size_t longest = 0;
    for (double tick : y_.ticks) longest = std::max(longest, tick_text(tick).size());
    left_ = 18 + 7.5 * static_cast<double>(longest) + (options_.y_label.empty() ? 0 : 20);
    right_ = options_.width - 18.0;
    bottom_ = options_.height - (options_.x_label.empty() ? 30.0 : 50.0);
    double x = left_, y = options_.title.empty() ? 20 : 44;
    size_t named = 0;
    for (const Series& s : series_) {
      const double need = 34 + 7.2 * static_cast<double>(s.label.size());
      if (x > left_ && x + need > right_) x = left_, y += 20;
      keys_.push_back({x, y});
      x += need;
      named += !s.label.empty();
    }
    top_ = named ? y + 16 : options_.title.empty() ? 14 : 38;
    if (top_ > bottom_ - 40) top_ = bottom_ - 40;
  }

  double at_x(double x) const { return left_ + x_.place(x) * (right_ - left_); }
  double at_y(double y) const { return bottom_ - y_.place(y) * (bottom_ - top_); }

  void open() {
    put("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" "
        "font-family=\"system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif\" font-size=\"12\">\n",
        options_.width, options_.height);
    if (!options_.title.empty()) put("<title>{}</title>\n", escaped(options_.title));
    put("<style>.bg{{fill:#fff}}.tx{{fill:#22262b}}.dim{{fill:#5a626b}}.grid{{stroke:#dfe3e8}}.axis{{stroke:#8a929b}}");
    for (size_t i = 0; i < kLight.size(); ++i) put(".s{0}{{stroke:{1}}}.d{0}{{fill:{1}}}", i, kLight[i]);
    put("\n@media (prefers-color-scheme:dark){{.bg{{fill:#15181c}}.tx{{fill:#e6e9ed}}.dim{{fill:#a3abb5}}"
        ".grid{{stroke:#2d333a}}.axis{{stroke:#6a737d}}");
    for (size_t i = 0; i < kDark.size(); ++i) put(".s{0}{{stroke:{1}}}.d{0}{{fill:{1}}}", i, kDark[i]);
    put("}}</style>\n<rect class=\"bg\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n", options_.width, options_.height);
    if (!options_.title.empty())
      put("<text class=\"tx\" x=\"{:.1f}\" y=\"24\" font-size=\"15\" font-weight=\"600\">{}</text>\n", left_,
          escaped(options_.title));
  }

  void grid() {
    for (double tick : y_.ticks) {
      const double y = at_y(tick);
      put("<line class=\"grid\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>", left_, y, right_, y);
      put("<text class=\"dim\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", left_ - 7, y + 4,
          tick_text(tick));
    }
    for (double tick : x_.ticks) {
      const double x = at_x(tick);
      put("<line class=\"axis\" x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\"/>", x, bottom_,
          bottom_ + 4);
      put("<text class=\"dim\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", x, bottom_ + 18,
          tick_text(tick));
    }
    put("<line class=\"axis\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", left_, bottom_, right_,
        bottom_);
    if (!options_.x_label.empty())
      put("<text class=\"tx\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", (left_ + right_) / 2,
          options_.height - 12, escaped(options_.x_label));
    if (!options_.y_label.empty())
      put("<text class=\"tx\" transform=\"translate(18 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
          (top_ + bottom_) / 2, escaped(options_.y_label));
  }

  // Each unbroken run of points is a polyline; a point alone is a dot.
  void lines() {
    for (size_t k = 0; k < series_.size(); ++k) {
      const Series& s = series_[k];
      for (size_t i = 0; i < s.x.size();) {
        size_t end = i;
        while (end < s.x.size() && shown(s.x[end], s.y[end])) ++end;
        if (end == i + 1) {
          put("<circle class=\"d{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>\n", k % kLight.size(), at_x(s.x[i]),
              at_y(s.y[i]));
        } else if (end > i) {
          put("<polyline class=\"s{}\" fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\" "
              "stroke-linecap=\"round\" "
              "points=\"",
              k % kLight.size());
          for (size_t j = i; j < end; ++j) put("{:.1f},{:.1f} ", at_x(s.x[j]), at_y(s.y[j]));
          out_.back() = '"';
          put("{}/>\n", k >= kLight.size() ? " stroke-dasharray=\"7 5\"" : "");
        }
        i = end + 1;
      }
    }
  }

  void legend() {
    for (size_t k = 0; k < series_.size(); ++k) {
      if (series_[k].label.empty()) continue;
      const auto [x, y] = keys_[k];
      put("<line class=\"s{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke-width=\"3\"{}/>",
          k % kLight.size(), x, y - 4, x + 16, y - 4, k >= kLight.size() ? " stroke-dasharray=\"5 3\"" : "");
      put("<text class=\"tx\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", x + 22, y, escaped(series_[k].label));
    }
  }

  struct Key {
    double x, y;
  };
  const std::vector<Series>& series_;
  const PlotOptions& options_;
  Axis x_, y_;
  double left_ = 0, right_ = 0, top_ = 0, bottom_ = 0;
  std::vector<Key> keys_;
  std::string out_;
};

}  // namespace

std::string svg_plot(const std::vector<Series>& series, const PlotOptions& options) {
  return Plot(series, options).draw();
}

}  // namespace yolov3
