#include "app/data_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "app/data_page_pictures.h"
#include "app/html.h"
#include "base/text.h"
#include "data/figures.h"

namespace yolov3 {
namespace {

constexpr size_t kDefectCards = 36, kListed = 500, kCopies = 12, kPicturesOfACopy = 6;
constexpr double kManySmall = 0.1;  // of the boxes under 8 px: worth saying at the top

std::string grouped(int64_t number) {
  std::string digits = std::to_string(number);
  for (auto i = static_cast<ptrdiff_t>(digits.size()) - 3; i > 0; i -= 3)
    digits.insert(static_cast<size_t>(i), "\u202f");
  return digits;
}

std::string count_of(int64_t number, const char* one, const char* many) {
  return fmt::format("{} {}", grouped(number), number == 1 ? one : many);
}

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

// A bar as long as its share of the widest.
std::string bar(double of_widest, size_t series) {
  return fmt::format("<span class=track><span class=\"bar s{}\" style=\"width:{:.2f}%\"></span></span>", series % 4,
                     100 * of_widest);
}

std::string tile(const std::string& number, const std::string& what, bool bad = false) {
  return fmt::format("<div class=\"tile{}\"><b>{}</b>{}</div>\n", bad ? " bad" : "", number, what);
}

std::string figure(const std::string& picture, const std::string& caption) {
  return fmt::format("<figure>{}<figcaption>{}</figcaption></figure>\n",
                     picture.empty() ? "<div class=none>no picture can be shown</div>" : picture, caption);
}

std::string section(const char* id, const std::string& title, const std::string& about, const std::string& content) {
  return fmt::format("<section id={}><h2>{}</h2>\n{}{}</section>\n", id, title,
                     about.empty() ? "" : "<p class=about>" + about + "</p>\n", content);
}

// What a defect means, for those who meet it for the first time.
std::string meaning(const std::string& reason) {
  static const std::map<std::string, const char*> kMeanings = {
      {"unreadable box", "not the numbers that a box has"},
      {"wrong class", "a name or number that no class has"},
      {"inverted box", "the second corner lies before the first"},
      {"zero-area box", "no width or no height: nothing can be learnt from it"},
      {"box outside image", "nothing of it is in the picture"},
      {"box exceeds image", "more than a pixel of it is beyond a border"},
      {"duplicate box", "the same class and corners as an earlier box"},
      {"doubled box", "nearly the place of an earlier box of its class: one object marked twice?"},
      {"missing image", "the picture is not there"},
      {"broken image", "the picture cannot be decoded whole"},
      {"duplicate image", "named a second time"},
      {"other size", "the annotation states another size than the picture has: its boxes may be off"},
      {"missing annotation", "the list names a picture without annotation"},
      {"broken annotation", "the annotation cannot be read"},
      {"image without label", "taken as background: is nothing in it?"},
      {"image without annotation", "not used"},
      {"label without image", "a label file that no picture has"},
      {"annotation without image", "it belongs to no picture of the file"},
      {"annotation in no split", "not used: no list names it"},
      {"image in no split", "not used: its folder is none of train, val and test"},
      {"double annotation id", "other tools keep one annotation an id"}};
  const auto found = kMeanings.find(reason);
  return found == kMeanings.end() ? "" : found->second;
}

class Page {
 public:
  explicit Page(const DataFindings& findings) : f_(findings) {
    for (const DatasetStats& stats : f_.stats) {
      pictures_ += stats.pictures;
      objects_ += stats.objects;
      boxes_ += stats.under.back();
      small_ += stats.under[0];
    }
    for (const LoadedSplit& split : f_.splits) {
      classes_ = std::max(classes_, split.dataset.names.size());
      defects_ += static_cast<int64_t>(split.report.defects.size());
      failed_ += !split.error.empty();
    }
  }

  std::string html() const {
    return fmt::format(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport "
        "content=\"width=device-width,initial-scale=1\"><title>{0}</title><style>{1}</style></head><body>\n{2}{3}{4}{5}"
        "{6}{7}{8}</body></html>\n",
        escaped(f_.data), page_style(), heading(), splits(), classes(), sizes(), defects(), copies(), suspects());
  }

 private:
  std::string net() const {
    return f_.net_width == f_.net_height ? fmt::format("{}", f_.net_width)
                                         : fmt::format("{}x{}", f_.net_width, f_.net_height);
  }

  std::string heading() const {
    std::string tiles = tile(grouped(pictures_), "pictures") + tile(grouped(objects_), "objects") +
                        tile(grouped(static_cast<int64_t>(classes_)), "classes") +
                        tile(grouped(defects_), "defects", defects_ > 0);
    if (f_.looked) tiles += tile(grouped(f_.leaks()), "copies across splits", f_.leaks() > 0);
    if (boxes_ > 0) {
      tiles += tile(escaped(percent_text(share(small_, boxes_))), fmt::format("of boxes under 8 px at {}", net()),
                    share(small_, boxes_) > kManySmall);
    }
    return fmt::format(
        "<header><p class=kind>data check</p><h1>{}</h1>\n<p class=\"verdict {}\">{}</p></header>\n"
        "<div class=tiles>\n{}</div>\n",
        escaped(f_.data), f_.any() ? "bad" : "good", verdict(), tiles);
  }

  std::string verdict() const {
    if (!f_.any()) return "No defects found.";
    std::vector<std::string> parts;
    if (failed_ > 0) parts.push_back(count_of(failed_, "split cannot be read", "splits cannot be read"));
    if (defects_ > 0) parts.push_back(count_of(defects_, "defect", "defects"));
    if (f_.leaks() > 0) {
      parts.push_back(
          count_of(f_.leaks(), "group of copies in more than one split", "groups of copies in more than one split"));
    }
    return fmt::format("Worth mending: {}.", fmt::join(parts, ", "));
  }

  std::string splits() const {
    std::string rows;
    for (size_t s = 0; s < f_.splits.size(); ++s) {
      const LoadedSplit& split = f_.splits[s];
      const DatasetStats& stats = f_.stats[s];
      rows += fmt::format("<tr><th><span class=\"dot s{}\"></span>{}", s % 4, escaped(split.split));
      if (split.error.empty()) {
        rows += fmt::format("<td>{}<td>{}<td>{}<td>{:.1f}<td>{}<td>{}x{}<td>{}x{}<td>{}</tr>\n",
                            grouped(stats.pictures), grouped(stats.background), grouped(stats.objects),
                            stats.pictures > 0 ? share(stats.objects, stats.pictures) : 0, grouped(stats.most_objects),
                            stats.smallest_width, stats.smallest_height, stats.largest_width, stats.largest_height,
                            grouped(static_cast<int64_t>(split.report.defects.size())));
      } else {
        rows += fmt::format("<td colspan=8 class=error><pre>{}</pre></tr>\n", escaped(split.error));
      }
    }
    return section("splits", "Splits", not_read(),
                   "<div class=scroll><table class=numbers><tr><th>split<th>pictures<th>without objects<th>objects"
                   "<th>a picture<th>at most<th>smallest picture<th>largest<th>defects</tr>\n" +
                       rows + "</table></div>\n");
  }

  std::string not_read() const {
    std::map<std::string, int64_t> all;
    for (const LoadedSplit& split : f_.splits) {
      for (const auto& [what, count] : split.report.unheld) all[what] += count;
    }
    std::string text;
    for (const auto& [what, count] : all) {
      text +=
          fmt::format("{}{} ({})", text.empty() ? "In the files and not read: " : ", ", escaped(what), grouped(count));
    }
    return text;
  }

  // A number and a bar for each split.
  std::string split_heads() const {
    std::string head;
    for (size_t s = 0; s < f_.splits.size(); ++s) {
      head += fmt::format("<th colspan=2><span class=\"dot s{}\"></span>{}", s % 4, escaped(f_.splits[s].split));
    }
    return head;
  }

  // The names of a split that could be loaded; they are the same for all.
  std::vector<std::string> names() const {
    for (const LoadedSplit& split : f_.splits) {
      if (!split.dataset.names.empty()) return split.dataset.names;
    }
    return {};
  }

  std::string classes() const {
    std::string rows;
    const std::vector<std::string> all = names();
    for (size_t k = 0; k < all.size(); ++k) {
      rows += fmt::format("<tr><th>{}", escaped(all[k]));
      double median = 0;
      for (size_t s = 0; s < f_.splits.size(); ++s) {
        if (k >= f_.stats[s].classes.size()) {
          rows += "<td><td>";
          continue;
        }
        const ClassStats& one = f_.stats[s].classes[k];
        if (median == 0) median = one.median_px;
        rows += fmt::format("<td{}>{}<td class=graph>{}", one.objects == 0 ? " class=zero" : "", grouped(one.objects),
                            bar(share(one.objects, f_.stats[s].objects), s));
      }
      rows += median > 0 ? fmt::format("<td>{:.0f}</tr>\n", median) : "<td>–</tr>\n";
    }
    return section(
        "classes", "Classes",
        fmt::format("Objects of each class, bars as shares of the split's; the middle size of its boxes at {}.", net()),
        "<div class=\"scroll tall\"><table class=numbers><tr><th>class" + split_heads() + "<th>median px</tr>\n" +
            rows + "</table></div>\n");
  }

  std::string sizes() const {
    if (boxes_ == 0) return "";
    double most = 0;
    const auto part = [&](size_t s, size_t i) {
      const auto& under = f_.stats[s].under;
      return share(under[i] - (i > 0 ? under[i - 1] : 0), under.back());
    };
    constexpr size_t kBins = DatasetStats::kLimitsPx.size() + 1;
    for (size_t s = 0; s < f_.stats.size(); ++s) {
      for (size_t i = 0; i < kBins; ++i) most = std::max(most, part(s, i));
    }
    std::string rows;
    for (size_t i = 0; i < kBins; ++i) {
      const int from = i > 0 ? DatasetStats::kLimitsPx[i - 1] : 0;
      rows += i + 1 < kBins ? fmt::format("<tr><th>{} to {} px", from, DatasetStats::kLimitsPx[i])
                            : fmt::format("<tr><th>{} px and more", from);
      for (size_t s = 0; s < f_.stats.size(); ++s) {
        rows += fmt::format("<td>{}<td class=graph>{}", escaped(percent_text(part(s, i))), bar(part(s, i) / most, s));
      }
      rows += "</tr>\n";
    }
    return section(
        "sizes", "Box sizes",
        fmt::format("Root of width times height as the network sees it, after the letterbox to {}.", net()),
        "<div class=scroll><table class=numbers><tr><th>size" + split_heads() + "</tr>\n" + rows + "</table></div>\n");
  }

  std::string defects() const {
    if (defects_ == 0) return "";
    return section("defects", "Defects", "", outcomes_table() + defect_cards() + all_defects());
  }

  std::string outcomes_table() const {
    std::map<std::string, DefectOutcome> all;
    for (const LoadedSplit& split : f_.splits) {
      for (const auto& [reason, one] : split.report.outcomes()) {
        all[reason].left_out += one.left_out, all[reason].repaired += one.repaired, all[reason].kept += one.kept;
      }
    }
    std::string rows;
    const auto cell = [](int64_t n) { return n > 0 ? grouped(n) : std::string("<span class=zero>0</span>"); };
    for (const auto& [reason, one] : all) {
      rows += fmt::format("<tr><th>{}<small>{}</small><td>{}<td>{}<td>{}</tr>\n", escaped(reason), meaning(reason),
                          cell(one.left_out), cell(one.repaired), cell(one.kept));
    }
    return "<div class=scroll><table class=numbers><tr><th>defect<th>left out<th>repaired<th>kept</tr>\n" + rows +
           "</table></div>\n";
  }

  // Of every reason in turn, so that a common one leaves room for the rare ones.
  std::vector<const Defect*> chosen() const {
    std::map<std::string, std::vector<const Defect*>> by_reason;
    for (const LoadedSplit& split : f_.splits) {
      for (const Defect& defect : split.report.defects) {
        if (!defect.picture.empty()) by_reason[defect.reason].push_back(&defect);
      }
    }
    std::vector<const Defect*> all;
    for (size_t round = 0; all.size() < kDefectCards; ++round) {
      const size_t before = all.size();
      for (const auto& [reason, defects] : by_reason) {
        if (round < defects.size() && all.size() < kDefectCards) all.push_back(defects[round]);
      }
      if (all.size() == before) break;
    }
    std::stable_sort(all.begin(), all.end(), [](const Defect* a, const Defect* b) { return a->reason < b->reason; });
    return all;
  }

  std::string defect_cards() const {
    std::string cards;
    for (const Defect* defect : chosen()) {
      cards += figure(defect_picture(*defect),
                      fmt::format("<b>{}</b><span>{}</span><code>{}</code>", escaped(defect->reason),
                                  escaped(defect->detail), escaped(defect->where)));
    }
    if (cards.empty()) return "";
    return "<p class=legend><span class=\"key mark\"></span> the box in question <span class=\"key other\"></span> the "
           "box that it repeats</p>\n<div class=cards>\n" +
           cards + "</div>\n";
  }

  std::string all_defects() const {
    std::string rows;
    size_t listed = 0;
    for (const LoadedSplit& split : f_.splits) {
      for (const Defect& defect : split.report.defects) {
        if (listed++ >= kListed) break;
        rows += fmt::format("<tr><td>{}<td>{}<td><code>{}</code><td>{}</tr>\n", escaped(split.split),
                            escaped(defect.reason), escaped(defect.where), escaped(defect.detail));
      }
    }
    return fmt::format(
        "<details><summary>{}</summary>\n<div class=\"scroll tall\"><table>\n{}</table></div></details>\n",
        listed > kListed ? fmt::format("The first {} of {} (--json FILE lists them all)", kListed, grouped(defects_))
                         : "All of them by file and line",
        rows);
  }

  std::string copies() const {
    if (f_.copies.empty()) return "";
    const auto inside = static_cast<int64_t>(f_.copies.size()) - f_.leaks();
    std::string groups;
    for (size_t i = 0; i < std::min(kCopies, f_.copies.size()); ++i) groups += copies_group(f_.copies[i]);
    if (f_.copies.size() > kCopies) {
      groups += fmt::format("<p class=about>... and {} more groups; --json FILE lists them all.</p>\n",
                            f_.copies.size() - kCopies);
    }
    return section("copies", "Copies",
                   fmt::format("Groups of pictures that are alike or nearly so: {} in more than one split, where they "
                               "flatter the validation; {} within one split.",
                               grouped(f_.leaks()), grouped(inside)),
                   groups);
  }

  std::string copies_group(const Copies& copies) const {
    const size_t shown = std::min(kPicturesOfACopy, copies.pictures.size());
    std::string html =
        fmt::format("<h3>{}{}</h3>\n<div class=cards>\n", copies.identical ? "Identical" : "Nearly identical",
                    copies.leaks ? ", <span class=bad>in more than one split</span>" : "");
    for (size_t k = 0; k < shown; ++k) {
      const PictureRef& ref = copies.pictures[k];
      const Example& example = f_.example(ref);
      html += figure(whole_picture(example, "copy"),
                     fmt::format("<b><span class=\"dot s{}\"></span>{}</b><code>{}</code>", ref.split % 4,
                                 escaped(f_.splits[ref.split].split), escaped(example.image.string())));
    }
    html += "</div>\n";
    if (copies.pictures.size() > shown) {
      html += fmt::format("<p class=about>... and {} more.</p>\n", copies.pictures.size() - shown);
    }
    return html;
  }

  std::string suspects() const {
    if (f_.suspects.empty()) return "";
    std::string cards;
    for (size_t rank = 0; rank < f_.suspects.size(); ++rank) cards += suspect_card(rank, f_.suspects[rank]);
    return section(
        "suspects", "Unlike the others of their class",
        "By size and colour, most unlike first, the more so where another class fits better. Worth a look; that "
        "something is rare does not make it wrong. A spread is the usual deviation within the class.",
        "<div class=cards>\n" + cards + "</div>\n");
  }

  std::string suspect_card(size_t rank, const SuspectRef& one) const {
    const Example& example = f_.example(one.picture);
    const std::vector<std::string>& all = f_.splits[one.picture.split].dataset.names;
    const Annotation& object = example.objects[one.suspect.object];
    std::string caption = fmt::format("<b>{}. {}</b><span>{:.1f} spreads from its class", rank + 1,
                                      escaped(all[static_cast<size_t>(object.class_id)]), one.suspect.distance);
    if (one.suspect.likely_class >= 0) {
      caption += fmt::format(", {:.1f} from <b>{}</b>", one.suspect.likely_distance,
                             escaped(all[static_cast<size_t>(one.suspect.likely_class)]));
    }
    return figure(object_picture(example, object), caption + "</span><code>" + escaped(example.origin) + "</code>");
  }

  const DataFindings& f_;
  int64_t pictures_ = 0, objects_ = 0, boxes_ = 0, small_ = 0, defects_ = 0, failed_ = 0;
  size_t classes_ = 0;
};

}  // namespace

std::string data_page(const DataFindings& findings) { return Page(findings).html(); }

}  // namespace yolov3
