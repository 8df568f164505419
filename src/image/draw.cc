#include "image/draw.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "base/error.h"

namespace yolov3 {
namespace {

constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
constexpr double kCapital = 21;  // height of the font's capitals at scale 1, pixels

struct Mark {
  Box box;
  std::string text;
  Color color;
  bool dashed = false;
};

cv::Mat view(Image& image) { return cv::Mat(image.height, image.width, CV_8UC3, image.rgb.data()); }
cv::Scalar scalar(Color c) { return {double(c.r), double(c.g), double(c.b)}; }  // our channels are RGB all the way

// sRGB relative luminance (WCAG 2): white text where its contrast is the better one.
Color text_color(Color plate) {
  const auto linear = [](uint8_t v) {
    const double x = v / 255.0;
    return x <= 0.04045 ? x / 12.92 : std::pow((x + 0.055) / 1.055, 2.4);
  };
  const double light = 0.2126 * linear(plate.r) + 0.7152 * linear(plate.g) + 0.0722 * linear(plate.b);
  return 1.05 / (light + 0.05) > (light + 0.05) / 0.05 ? Color{255, 255, 255} : Color{0, 0, 0};
}

std::string class_name(int class_id, const std::vector<std::string>& names) {
  if (class_id >= 0 && static_cast<size_t>(class_id) < names.size()) return names[static_cast<size_t>(class_id)];
  return fmt::format("class {}", class_id);
}

int line_width(const Image& image) {
  return std::max(1, static_cast<int>(std::lround((image.width + image.height) / 500.0)));
}

void draw_dashed(cv::Mat& mat, cv::Point from, cv::Point to, const cv::Scalar& color, int width) {
  const double length = std::hypot(to.x - from.x, to.y - from.y), dash = 4.0 * width + 4;
  for (double at = 0; at < length; at += 2 * dash) {
    const auto point = [&](double t) {
      return cv::Point(cvRound(from.x + (to.x - from.x) * t / length), cvRound(from.y + (to.y - from.y) * t / length));
    };
    cv::line(mat, point(at), point(std::min(at + dash, length)), color, width);
  }
}

void draw_frame(Image& image, const Mark& mark) {
  cv::Mat mat = view(image);
  const int width = line_width(image);
  const Box box = clip(mark.box, static_cast<float>(image.width), static_cast<float>(image.height));
  const int x0 = cvRound(box.x0), y0 = cvRound(box.y0);
  const int x1 = std::max(x0, cvRound(box.x1) - 1), y1 = std::max(y0, cvRound(box.y1) - 1);
  if (!mark.dashed) {
    cv::rectangle(mat, {x0, y0}, {x1, y1}, scalar(mark.color), width);
    return;
  }
  const cv::Point corners[] = {{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}};
  for (int i = 0; i < 4; ++i) draw_dashed(mat, corners[i], corners[(i + 1) % 4], scalar(mark.color), width);
}

// A plate's size and the text's place in it.
struct Plate {
  cv::Size size;
  cv::Point text_at;  // baseline's left end, from the plate's top left corner
  double scale;
  int thickness;
};

Plate measure(const Image& image, const std::string& text) {
  const double capital = std::clamp(0.018 * std::sqrt(double(image.width) * image.height), 8.0, 60.0);
  Plate plate;
  plate.scale = capital / kCapital;
  plate.thickness = std::max(1, cvRound(plate.scale * 1.7));
  int below = 0;
  cv::Size size = cv::getTextSize(text, kFont, plate.scale, plate.thickness, &below);
  const int room = image.width - 4;
  if (size.width > room && room > 0) {  // a long name in a small picture: smaller letters
    plate.scale *= static_cast<double>(room) / size.width;
    plate.thickness = std::max(1, cvRound(plate.scale * 1.7));
    size = cv::getTextSize(text, kFont, plate.scale, plate.thickness, &below);
  }
  const int margin = std::max(2, cvRound(0.35 * kCapital * plate.scale));
  const int cap = cvRound(kCapital * plate.scale), tail = cvRound(0.33 * kCapital * plate.scale);
  plate.size = {size.width + 2 * margin, cap + tail + 2 * margin - tail / 2};
  plate.text_at = {margin, margin + cap};
  return plate;
}

// Tried in turn: on the box's top edge, inside its top, under its bottom, inside its bottom; each at the left and at
// the right end. The first free place wins, else the one that covers the least of earlier labels.
cv::Rect place(const Image& image, const Mark& mark, cv::Size size, const std::vector<cv::Rect>& taken) {
  const Box box = clip(mark.box, static_cast<float>(image.width), static_cast<float>(image.height));
  const int left = cvFloor(box.x0), right = cvCeil(box.x1) - size.width, top = cvFloor(box.y0), bottom = cvCeil(box.y1);
  cv::Rect best;
  int least = -1;
  for (int y : {top - size.height, top, bottom, bottom - size.height}) {
    for (int x : {left, right}) {
      cv::Rect rect({std::clamp(x, 0, std::max(0, image.width - size.width)),
                     std::clamp(y, 0, std::max(0, image.height - size.height))},
                    size);
      int covered = 0;
      for (const cv::Rect& other : taken) covered += (rect & other).area();
      if (least < 0 || covered < least) {
        best = rect;
        least = covered;
      }
      if (least == 0) return best;
    }
  }
  return best;
}

void draw_label(Image& image, const Mark& mark, std::vector<cv::Rect>& taken) {
  cv::Mat mat = view(image);
  const Plate plate = measure(image, mark.text);
  const cv::Rect rect = place(image, mark, plate.size, taken);
  taken.push_back(rect);
  cv::rectangle(mat, rect, scalar(mark.color), cv::FILLED);
  cv::putText(mat, mark.text, rect.tl() + plate.text_at, kFont, plate.scale, scalar(text_color(mark.color)),
              plate.thickness, cv::LINE_AA);
}

// Marks come most important first: their labels choose first and lie on top.
void draw_marks(Image& image, std::vector<Mark> marks) {
  if (image.empty()) return;
  std::erase_if(marks, [](const Mark& mark) {
    const Box& b = mark.box;
    return !std::isfinite(b.x0) || !std::isfinite(b.y0) || !std::isfinite(b.x1) || !std::isfinite(b.y1);
  });
  for (size_t i = marks.size(); i-- > 0;) draw_frame(image, marks[i]);
  std::vector<cv::Rect> taken;
  for (const Mark& mark : marks) draw_label(image, mark, taken);
}

}  // namespace

Color class_color(int class_id) {
  // Neighbours on the colour circle never follow each other; every full turn changes strength and brightness.
  const unsigned k = static_cast<unsigned>(class_id);
  const double hue = std::fmod(0.58 + 0.6180339887498949 * k, 1.0) * 6;
  static constexpr std::array<std::array<double, 2>, 4> kTones = {
      {{0.85, 0.95}, {0.55, 1.0}, {1.0, 0.68}, {0.45, 0.78}}};
  const auto [strength, light] = kTones[k / 7 % kTones.size()];
  const auto channel = [&, s = strength, v = light](double shift) {
    const double t = std::fmod(hue + shift, 6.0);
    const double part = std::clamp(std::min(t, 4 - t), 0.0, 1.0);
    return static_cast<uint8_t>(std::lround(255 * (v - v * s * part)));
  };
  return {channel(5), channel(3), channel(1)};
}

void draw_detections(Image& image, const std::vector<Detection>& detections, const std::vector<std::string>& names) {
  std::vector<Detection> sorted = detections;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  std::vector<Mark> marks;
  for (const Detection& d : sorted)
    marks.push_back({d.box, fmt::format("{} {:.0f}%", class_name(d.class_id, names), 100 * d.score),
                     class_color(d.class_id), false});
  draw_marks(image, std::move(marks));
}

void draw_annotations(Image& image, const std::vector<Annotation>& annotations, const std::vector<std::string>& names) {
  std::vector<Mark> marks;
  for (const Annotation& a : annotations)
    marks.push_back({a.box,
                     class_name(a.class_id, names) + (a.crowd       ? " (crowd)"
                                                      : a.difficult ? " (difficult)"
                                                                    : ""),
                     class_color(a.class_id), a.crowd || a.difficult});
  // Small boxes last to be covered: they have the least room of their own.
  std::stable_sort(marks.begin(), marks.end(),
                   [](const Mark& a, const Mark& b) { return a.box.area() < b.box.area(); });
  draw_marks(image, std::move(marks));
}

Image make_grid(const std::vector<Image>& images, int columns, int cell_px) {
  check(columns > 0 && cell_px > 0 && columns * int64_t{cell_px} <= 65500, "a grid of {} columns of {} px", columns,
        cell_px);
  if (images.empty()) return {};
  const int count = static_cast<int>(images.size()), gap = std::max(1, cell_px / 100);
  columns = std::min(columns, count);
  const int rows = (count + columns - 1) / columns;
  check((rows * int64_t{cell_px} + rows * gap) <= 65500, "a grid of {} rows of {} px is too tall; use more columns",
        rows, cell_px);
  Image grid(columns * cell_px + (columns - 1) * gap, rows * cell_px + (rows - 1) * gap, 48);
  cv::Mat target = view(grid);
  for (int i = 0; i < count; ++i) {
    Image copy = images[static_cast<size_t>(i)];
    if (copy.empty()) continue;
    const double scale = std::min(double(cell_px) / copy.width, double(cell_px) / copy.height);
    const int w = std::max(1, cvRound(copy.width * scale)), h = std::max(1, cvRound(copy.height * scale));
    const int x = i % columns * (cell_px + gap) + (cell_px - w) / 2,
              y = i / columns * (cell_px + gap) + (cell_px - h) / 2;
    cv::resize(view(copy), target(cv::Rect(x, y, w, h)), {w, h}, 0, 0, scale < 1 ? cv::INTER_AREA : cv::INTER_LINEAR);
  }
  return grid;
}

}  // namespace yolov3
