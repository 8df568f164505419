#include "app/data_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/html.h"
#include "base/error.h"
#include "data/cut_out.h"
#include "image/draw.h"

namespace yolov3 {
namespace {

constexpr size_t kBoxDefects = 24, kListed = 500, kCopies = 12, kPicturesOfACopy = 6;
constexpr int kPicturePx = 320;

std::string figure(const std::string& picture, const std::string& caption) {
  return fmt::format("<figure>{}<figcaption>{}</figcaption></figure>\n",
                     picture.empty() ? "<em>no picture can be shown</em>" : picture, caption);
}

Image whole(const Image& image) { return shrunk(image, kPicturePx); }

// The part around a box, with the box drawn.
Image part_around(const Image& image, Annotation object, const std::vector<std::string>& names) {
  CutOut cut = cut_out(image, object.box, kPicturePx);
  object.box = cut.cut_from_image(object.box);
  draw_annotations(cut.image, {object}, names);
  return std::move(cut.image);
}

// `show` makes a picture out of the loaded one.
template <class Show>
std::string try_picture(const Example& example, const std::string& alt, Show&& show) {
  try {
    return image_tag(show(load_example(example).image), alt);
  } catch (const Error&) {
    return "";
  }
}

std::string bar(double share) { return fmt::format("<span class=bar style=\"width:{:.1f}rem\"></span>", 12 * share); }

std::string classes_table(const DatasetStats& stats) {
  std::string html = "<table><tr><th>class<th>objects<th>pictures<th>median px<th></tr>\n";
  int64_t most = 1;
  for (const ClassStats& one : stats.classes) most = std::max(most, one.objects);
  for (const ClassStats& one : stats.classes) {
    html += fmt::format("<tr><td>{}<td class=n>{}<td class=n>{}<td class=n>{:.0f}<td>{}</tr>\n", escaped(one.name),
                        one.objects, one.pictures, one.median_px,
                        bar(static_cast<double>(one.objects) / static_cast<double>(most)));
  }
  return html + "</table>\n";
}

std::string sizes_table(const DatasetStats& stats, int net_width, int net_height) {
  if (stats.under.back() == 0) return "";
  std::string html = fmt::format("<p>Box sizes (root of the area) at {}x{}:</p><table>\n", net_width, net_height);
  int64_t before = 0;
  std::string from = "0";
  for (size_t i = 0; i < stats.under.size(); ++i) {
    const bool last = i == DatasetStats::kLimitsPx.size();
    const std::string to = last ? "" : std::to_string(DatasetStats::kLimitsPx[i]);
    const double share = static_cast<double>(stats.under[i] - before) / static_cast<double>(stats.under.back());
    html += fmt::format("<tr><td>{}{}{} px<td class=n>{}<td class=n>{:.0f}%<td>{}</tr>\n", from,
                        last ? " and more" : " to ", to, stats.under[i] - before, 100 * share, bar(share));
    before = stats.under[i];
    from = to;
  }
  return html + "</table>\n";
}

std::string defects_part(const LoadedSplit& split) {
  std::string html = "<table><tr><th>defect<th>times</tr>\n";
  for (const auto& [reason, count] : split.report.counts()) {
    html += fmt::format("<tr><td>{}<td class=n>{}</tr>\n", escaped(reason), count);
  }
  html += "</table>\n<div class=cards>\n";
  size_t shown = 0;
  for (const Defect& defect : split.report.defects) {
    if (!defect.box_image || shown++ >= kBoxDefects) continue;
    Example example;
    example.image = defect.picture;
    const Annotation object{*defect.box_image, 0, false, false, 0};
    const auto show = [&](const Image& image) { return part_around(image, object, {defect.reason}); };
    html += figure(
        try_picture(example, defect.reason, show),
        fmt::format("<b>{}</b><br>{}<br>{}", escaped(defect.reason), escaped(defect.where), escaped(defect.detail)));
  }
  html += "</div>\n<div class=scroll><table>\n";
  for (size_t i = 0; i < std::min(kListed, split.report.defects.size()); ++i) {
    const Defect& defect = split.report.defects[i];
    html += fmt::format("<tr><td>{}<td>{}<td>{}</tr>\n", escaped(defect.reason), escaped(defect.where),
                        escaped(defect.detail));
  }
  html += "</table></div>\n";
  if (split.report.defects.size() > kListed) html += "<p>--json FILE lists them all.</p>\n";
  return html;
}

std::string suspects_part(const DataFindings& findings) {
  if (findings.suspects.empty()) return "";
  std::string html =
      "<h2>Objects unlike the others of their class</h2><p>In size and colour, worst first. Worth a look, no "
      "defects.</p><div class=cards>\n";
  for (const SuspectRef& one : findings.suspects) {
    const Example& example = findings.example(one.picture);
    const std::vector<std::string>& names = findings.splits[one.picture.split].dataset.names;
    const Annotation& object = example.objects[one.suspect.object];
    const auto show = [&](const Image& image) { return part_around(image, object, names); };
    std::string caption = fmt::format("<b>{}</b>, {:.1f} spreads from its class",
                                      escaped(names[static_cast<size_t>(object.class_id)]), one.suspect.distance);
    if (one.suspect.likely_class >= 0) {
      caption += fmt::format("; {:.1f} from <b>{}</b>", one.suspect.likely_distance,
                             escaped(names[static_cast<size_t>(one.suspect.likely_class)]));
    }
    html += figure(try_picture(example, "suspect", show), caption + "<br>" + escaped(example.origin));
  }
  return html + "</div>\n";
}

std::string copies_part(const DataFindings& findings) {
  if (findings.copies.empty()) return "";
  std::string html = fmt::format(
      "<h2>Copies</h2><p>Alike or nearly so: {} in more than one split, which flatters the "
      "validation; {} in one split.</p>\n",
      findings.leaks(), static_cast<int64_t>(findings.copies.size()) - findings.leaks());
  for (size_t i = 0; i < std::min(kCopies, findings.copies.size()); ++i) {
    const Copies& copies = findings.copies[i];
    html += fmt::format("<p class={}>{}</p><div class=cards>\n", copies.leaks ? "bad" : "ok",
                        copies.identical ? "identical" : "nearly identical");
    for (size_t k = 0; k < std::min(kPicturesOfACopy, copies.pictures.size()); ++k) {
      const Example& example = findings.example(copies.pictures[k]);
      html += figure(try_picture(example, "copy", whole),
                     escaped(findings.splits[copies.pictures[k].split].split + ": " + example.image.string()));
    }
    html += "</div>\n";
  }
  return html;
}

}  // namespace

std::string data_page(const DataFindings& findings) {
  std::string html = page_head(findings.data) + fmt::format(
      "<h1>{}</h1>\n<p>{}</p>\n", escaped(findings.data),
      findings.any() ? "<span class=bad>Something is wrong with this data set.</span>" : "No defects found.");
  for (size_t s = 0; s < findings.splits.size(); ++s) {
    const LoadedSplit& split = findings.splits[s];
    const DatasetStats& stats = findings.stats[s];
    html += fmt::format("<h2>{}</h2>\n", escaped(split.split));
    if (split.error.empty()) {
      html += fmt::format("<p>{} pictures ({} without objects), {} objects</p>\n", stats.pictures, stats.background,
                          stats.objects);
      html += classes_table(stats) + sizes_table(stats, findings.net_width, findings.net_height);
    } else {
      html += fmt::format("<pre class=bad>{}</pre>\n", escaped(split.error));
    }
    if (!split.report.defects.empty()) html += defects_part(split);
  }
  return html + copies_part(findings) + suspects_part(findings) + "</html>\n";
}

}  // namespace yolov3
