#include "app/data_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "image/draw.h"
#include "image/jpeg.h"
#include "image/letterbox.h"

namespace yolov3 {
namespace {

constexpr size_t kBoxDefects = 24, kListed = 500, kCopies = 12, kPicturesOfACopy = 6;
constexpr int kPicturePx = 320;

const char* const kStyle = R"(
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--bar:#3b7dd8}
body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse}td,th{text-align:left;padding:.15rem .8rem .15rem 0;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.bar{background:var(--bar);height:.7em;display:inline-block;border-radius:2px}
.cards{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;width:20rem;background:var(--soft);padding:.5rem;border-radius:6px}
figure img{max-width:100%;display:block;margin:auto}figcaption{font-size:.85rem;margin-top:.4rem;overflow-wrap:anywhere}
.bad{color:#c33;font-weight:600}.scroll{max-height:24rem;overflow:auto;font-size:.85rem}
)";

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string image_tag(const Image& image, const std::string& alt) {
  return fmt::format("<img alt=\"{}\" src=\"data:image/jpeg;base64,{}\">", escaped(alt),
                     base64(encode_jpeg(image, 80)));
}

std::string figure(const std::string& picture, const std::string& caption) {
  return fmt::format("<figure>{}<figcaption>{}</figcaption></figure>\n",
                     picture.empty() ? "<em>no picture can be shown</em>" : picture, caption);
}

Image shrunk(const Image& image) {
  const double scale = std::min(1.0, static_cast<double>(kPicturePx) / std::max(image.width, image.height));
  const int width = std::max(1, static_cast<int>(image.width * scale));
  const int height = std::max(1, static_cast<int>(image.height * scale));
  return apply_letterbox(image, make_stretch(image.width, image.height, width, height));
}

// The part of the picture around a box, twice its size and at least a quarter of the picture, with the box drawn.
Image cut_out(const Image& image, Annotation object, const std::vector<std::string>& names) {
  const Box whole{0, 0, static_cast<float>(image.width), static_cast<float>(image.height)};
  const Box box = clip(object.box, whole.x1, whole.y1);
  const float side = std::max({2 * box.width(), 2 * box.height(), 0.25f * std::max(whole.x1, whole.y1)});
  const Box part = clip(box_from_center(box.center_x(), box.center_y(), side, side), whole.x1, whole.y1);
  const int x0 = static_cast<int>(part.x0), y0 = static_cast<int>(part.y0);
  Image cut(std::max(1, static_cast<int>(part.x1) - x0), std::max(1, static_cast<int>(part.y1) - y0));
  for (int y = 0; y < cut.height; ++y) {
    const uint8_t* row = image.pixel(std::min(x0, image.width - cut.width), std::min(y0 + y, image.height - 1));
    std::copy_n(row, 3 * static_cast<size_t>(cut.width), cut.pixel(0, y));
  }
  const double scale = static_cast<double>(kPicturePx) / std::max(cut.width, cut.height);
  const Letterbox grown = make_stretch(cut.width, cut.height, std::max(1, static_cast<int>(cut.width * scale)),
                                       std::max(1, static_cast<int>(cut.height * scale)));
  Image shown = apply_letterbox(cut, grown);
  const auto fx = static_cast<float>(x0), fy = static_cast<float>(y0);
  object.box = net_from_image(grown, {object.box.x0 - fx, object.box.y0 - fy, object.box.x1 - fx, object.box.y1 - fy});
  draw_annotations(shown, {object}, names);
  return shown;
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
    const auto show = [&](const Image& image) { return cut_out(image, object, {defect.reason}); };
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
    const auto show = [&](const Image& image) { return cut_out(image, object, names); };
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
      html += figure(try_picture(example, "copy", shrunk),
                     escaped(findings.splits[copies.pictures[k].split].split + ": " + example.image.string()));
    }
    html += "</div>\n";
  }
  return html;
}

}  // namespace

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k) {
      three = three << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (size_t k = 0; k < 4; ++k) {
      out += i + k <= bytes.size() ? kLetters[three >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

std::string data_page(const DataFindings& findings) {
  std::string html = fmt::format(
      "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">"
      "<title>{0}</title><style>{1}</style>\n<h1>{0}</h1>\n<p>{2}</p>\n",
      escaped(findings.data), kStyle,
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
