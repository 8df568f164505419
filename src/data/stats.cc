#include "data/stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "data/figures.h"
#include "image/letterbox.h"

namespace yolov3 {
namespace {

// The value at a share of the way, of sorted values; between two of them the mean weighted by nearness.
double quantile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

class Counter {
 public:
  Counter(const Dataset& dataset, int net_width, int net_height)
      : net_width_(net_width), net_height_(net_height), sizes_of_class_(dataset.names.size()) {
    for (const std::string& name : dataset.names) stats_.classes.push_back({name});
  }

  void add(const Example& example) {
    ++stats_.pictures;
    note_size(example);
    std::set<int> classes;
    int64_t objects = 0;
    for (const Annotation& object : example.objects) {
      if (object.crowd) {
        ++stats_.crowds;
        continue;
      }
      ++objects;
      stats_.difficult += object.difficult;
      ++stats_.classes[static_cast<size_t>(object.class_id)].objects;
      classes.insert(object.class_id);
      if (example.width > 0) note_box(example, object);
    }
    for (const int k : classes) ++stats_.classes[static_cast<size_t>(k)].pictures;
    stats_.objects += objects;
    stats_.background += objects == 0;
    stats_.most_objects = std::max(stats_.most_objects, objects);
  }

  DatasetStats finish() && {
    std::sort(sizes_.begin(), sizes_.end());
    for (size_t i = 0; i < stats_.size_px.size(); ++i) {
      stats_.size_px[i] = quantile(sizes_, static_cast<double>(i) / (static_cast<double>(stats_.size_px.size()) - 1));
    }
    for (size_t k = 0; k < sizes_of_class_.size(); ++k) {
      std::sort(sizes_of_class_[k].begin(), sizes_of_class_[k].end());
      stats_.classes[k].median_px = quantile(sizes_of_class_[k], 0.5);
    }
    return std::move(stats_);
  }

 private:
  void note_size(const Example& example) {
    if (example.width <= 0) return;
    const auto area = [](int width, int height) { return static_cast<int64_t>(width) * height; };
    const int64_t here = area(example.width, example.height);
    if (stats_.smallest_width == 0 || here < area(stats_.smallest_width, stats_.smallest_height)) {
      stats_.smallest_width = example.width, stats_.smallest_height = example.height;
    }
    if (here > area(stats_.largest_width, stats_.largest_height)) {
      stats_.largest_width = example.width, stats_.largest_height = example.height;
    }
  }

  void note_box(const Example& example, const Annotation& object) {
    const Letterbox letterbox = make_letterbox(example.width, example.height, net_width_, net_height_);
    const Box box_net = net_from_image(letterbox, object.box);
    const double size = std::sqrt(static_cast<double>(box_net.width()) * box_net.height());
    for (size_t i = 0; i < DatasetStats::kLimitsPx.size(); ++i) stats_.under[i] += size < DatasetStats::kLimitsPx[i];
    ++stats_.under.back();
    sizes_.push_back(size);
    sizes_of_class_[static_cast<size_t>(object.class_id)].push_back(size);
  }

  const int net_width_, net_height_;
  DatasetStats stats_;
  std::vector<double> sizes_;
  std::vector<std::vector<double>> sizes_of_class_;
};

double percent(int64_t part, int64_t whole) {
  return whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0;
}

}  // namespace

DatasetStats dataset_stats(const Dataset& dataset, int net_width, int net_height) {
  Counter counter(dataset, net_width, net_height);
  for (const Example& example : dataset.examples) counter.add(example);
  return std::move(counter).finish();
}

std::string describe(const DatasetStats& stats, int net_width, int net_height) {
  std::string text = fmt::format("{} ({} without objects), {}", counted(stats.pictures, "picture"), stats.background,
                                 counted(stats.objects, "object"));
  if (stats.crowds > 0) text += ", " + counted(stats.crowds, "crowd region");
  if (stats.difficult > 0) text += fmt::format(", {} difficult", stats.difficult);
  text += "\n";
  for (const ClassStats& one : stats.classes) {
    text += fmt::format("  {:>8}  {:>5.1f}%  {}{}\n", one.objects, percent(one.objects, stats.objects), one.name,
                        one.objects == 0 ? "   <- none" : "");
  }
  if (stats.under.back() == 0) return text;
  const auto part = [&](size_t limit) {
    return percent_text(static_cast<double>(stats.under[limit]) / static_cast<double>(stats.under.back()));
  };
  const std::string net =
      net_width == net_height ? fmt::format("{}", net_width) : fmt::format("{}x{}", net_width, net_height);
  text += fmt::format("  {} of boxes are under 8 px at {}, {} under 16, {} under 32; ", part(0), net, part(1), part(2));
  return text + fmt::format("smallest {:.1f}, half up to {:.1f}, largest {:.1f} px\n", stats.size_px[0],
                            stats.size_px[2], stats.size_px[4]);
}

}  // namespace yolov3
