#include "app/data_findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace yolov3 {
namespace {

using Json = nlohmann::ordered_json;

// A picture that is in two splits is suspected once.
void keep_first_of_each_file(std::vector<PictureRef>& refs, std::vector<const Example*>& examples,
                             std::vector<const PictureLook*>& looks) {
  std::set<std::string> seen;
  size_t kept = 0;
  for (size_t i = 0; i < refs.size(); ++i) {
    if (!seen.insert(examples[i]->image.lexically_normal().string()).second) continue;
    refs[kept] = refs[i], examples[kept] = examples[i], looks[kept] = looks[i];
    ++kept;
  }
  refs.resize(kept);
  examples.resize(kept);
  looks.resize(kept);
}

// Looks at the pictures of all splits together: what is rare, and what is a copy, shows only there.
void look_for_more(DataFindings& findings, const FindOptions& options) {
  std::vector<std::vector<PictureLook>> looks;
  std::vector<PictureRef> refs;
  std::vector<const Example*> examples;
  std::vector<const PictureLook*> all;
  for (const LoadedSplit& one : findings.splits) looks.push_back(look_at(one.dataset, options.threads));
  for (size_t s = 0; s < findings.splits.size(); ++s) {
    for (size_t i = 0; i < looks[s].size(); ++i) {
      refs.push_back({s, i});
      examples.push_back(&findings.splits[s].dataset.examples[i]);
      all.push_back(&looks[s][i]);
    }
  }
  for (const SimilarGroup& group : find_similar(all, options.threads)) {
    Copies copies;
    copies.identical = group.identical;
    for (const size_t i : group.pictures) copies.pictures.push_back(refs[i]);
    copies.leaks = copies.pictures.front().split != copies.pictures.back().split;
    findings.copies.push_back(std::move(copies));
  }
  std::stable_sort(findings.copies.begin(), findings.copies.end(),
                   [](const Copies& a, const Copies& b) { return a.leaks > b.leaks; });
  size_t classes = 0;
  for (const LoadedSplit& one : findings.splits) classes = std::max(classes, one.dataset.names.size());
  keep_first_of_each_file(refs, examples, all);
  for (const Suspect& one : find_suspects(examples, all, classes, static_cast<size_t>(options.suspects))) {
    findings.suspects.push_back({refs[one.picture], one});
  }
}

std::string name_of(const DataFindings& findings, const PictureRef& ref) {
  return findings.splits[ref.split].split + ": " + findings.example(ref).image.filename().string();
}

std::string copies_text(const DataFindings& findings, size_t max_listed) {
  std::string text;
  size_t listed = 0, inside = 0;
  for (const Copies& copies : findings.copies) {
    if (!copies.leaks) {
      ++inside;
      continue;
    }
    if (listed++ >= max_listed) continue;
    constexpr size_t kNamed = 8;
    std::vector<std::string> names;
    for (size_t i = 0; i < std::min(kNamed, copies.pictures.size()); ++i) {
      names.push_back(name_of(findings, copies.pictures[i]));
    }
    text += fmt::format("  {}: {}", copies.identical ? "identical" : "nearly identical", fmt::join(names, ", "));
    text += copies.pictures.size() > kNamed ? fmt::format(" and {} more\n", copies.pictures.size() - kNamed) : "\n";
  }
  if (listed > 0) text = fmt::format("in more than one split, which flatters the validation: {}\n", listed) + text;
  if (listed > max_listed) text += fmt::format("  ... and {} more\n", listed - max_listed);
  if (inside > 0) text += fmt::format("more than once in one split, alike or nearly so: {}\n", inside);
  return text;
}

std::string suspects_text(const DataFindings& findings) {
  if (findings.suspects.empty()) return "";
  std::string text = "most unlike the others of their class in size and colour (worth a look, no defects):\n";
  for (const SuspectRef& one : findings.suspects) {
    const Example& example = findings.example(one.picture);
    const Annotation& object = example.objects[one.suspect.object];
    const std::vector<std::string>& names = findings.splits[one.picture.split].dataset.names;
    text += fmt::format("  {:>5.1f}  {}: {} {:.0f},{:.0f},{:.0f},{:.0f}", one.suspect.distance, example.origin,
                        names[static_cast<size_t>(object.class_id)], object.box.x0, object.box.y0, object.box.x1,
                        object.box.y1);
    if (one.suspect.likely_class >= 0) {
      text += fmt::format("; as {} it would be {:.1f}", names[static_cast<size_t>(one.suspect.likely_class)],
                          one.suspect.likely_distance);
    }
    text += "\n";
  }
  return text;
}

Json stats_json(const DatasetStats& stats) {
  Json json;
  json["background"] = stats.background;
  json["objects"] = stats.objects;
  json["crowds"] = stats.crowds;
  json["difficult"] = stats.difficult;
  json["classes"] = Json::array();
  for (const ClassStats& one : stats.classes) {
    json["classes"].push_back(
        {{"class", one.name}, {"objects", one.objects}, {"pictures", one.pictures}, {"median_px", one.median_px}});
  }
  json["boxes_under_px"] = Json::object();
  for (size_t i = 0; i < DatasetStats::kLimitsPx.size(); ++i) {
    json["boxes_under_px"][std::to_string(DatasetStats::kLimitsPx[i])] = stats.under[i];
  }
  json["box_size_px"] = stats.size_px;
  json["smallest_picture"] = {stats.smallest_width, stats.smallest_height};
  json["largest_picture"] = {stats.largest_width, stats.largest_height};
  return json;
}

Json split_json(const LoadedSplit& one, const DatasetStats& stats) {
  Json json;
  json["split"] = one.split;
  json["images"] = one.dataset.examples.size();
  json["images_seen"] = one.report.images_seen;
  json["boxes_seen"] = one.report.boxes_seen;
  json.update(stats_json(stats));
  json["error"] = one.error.empty() ? Json() : Json(one.error);
  json["not_read"] = one.report.unheld;
  json["defect_counts"] = one.report.counts();
  json["defects"] = Json::array();
  for (const Defect& defect : one.report.defects) {
    json["defects"].push_back({{"reason", defect.reason},
                               {"where", defect.where},
                               {"detail", defect.detail},
                               {"image", defect.image},
                               {"repaired", defect.repaired},
                               {"kept", defect.kept}});
  }
  return json;
}

Json suspect_json(const DataFindings& findings, const SuspectRef& one) {
  const Example& example = findings.example(one.picture);
  const Annotation& object = example.objects[one.suspect.object];
  const LoadedSplit& split = findings.splits[one.picture.split];
  const auto name = [&](int class_id) {
    return class_id < 0 ? Json() : Json(split.dataset.names[static_cast<size_t>(class_id)]);
  };
  return {{"split", split.split},
          {"picture", example.image.string()},
          {"where", example.origin},
          {"class", name(object.class_id)},
          {"box", {object.box.x0, object.box.y0, object.box.x1, object.box.y1}},
          {"distance", one.suspect.distance},
          {"likely_class", name(one.suspect.likely_class)},
          {"likely_distance", one.suspect.likely_distance}};
}

Json copies_json(const DataFindings& findings, const Copies& copies) {
  Json pictures = Json::array();
  for (const PictureRef& ref : copies.pictures) {
    pictures.push_back(
        {{"split", findings.splits[ref.split].split}, {"picture", findings.example(ref).image.string()}});
  }
  return {{"identical", copies.identical}, {"leaks", copies.leaks}, {"pictures", pictures}};
}

}  // namespace

int64_t DataFindings::leaks() const {
  return std::count_if(copies.begin(), copies.end(), [](const Copies& one) { return one.leaks; });
}

bool DataFindings::any() const {
  return leaks() > 0 || std::any_of(splits.begin(), splits.end(), [](const LoadedSplit& one) {
           return !one.error.empty() || !one.report.defects.empty();
         });
}

DataFindings find_in_data(const std::string& data, std::vector<LoadedSplit> splits, const FindOptions& options) {
  DataFindings findings;
  findings.data = data;
  findings.net_width = options.net_width;
  findings.net_height = options.net_height;
  findings.splits = std::move(splits);
  for (const LoadedSplit& one : findings.splits) {
    findings.stats.push_back(dataset_stats(one.dataset, options.net_width, options.net_height));
  }
  if (options.looks) look_for_more(findings, options);
  return findings;
}

std::string findings_text(const DataFindings& findings, size_t max_listed) {
  std::string text;
  for (size_t s = 0; s < findings.splits.size(); ++s) {
    const LoadedSplit& one = findings.splits[s];
    text += one.split + ": ";
    text += one.error.empty() ? describe(findings.stats[s], findings.net_width, findings.net_height) : one.error;
    if (!text.ends_with('\n')) text += "\n";
    if (!one.report.defects.empty()) text += describe(one.report, max_listed);
    if (one.report.defects.size() > max_listed) text += "  --json FILE lists them all\n";
    for (const auto& [what, count] : one.report.unheld) text += fmt::format("  not read: {} ({})\n", what, count);
  }
  return text + copies_text(findings, max_listed) + suspects_text(findings);
}

// An entry a split; copies and suspects stand with the splits whose pictures they are.
std::string findings_json(const DataFindings& findings) {
  Json json = Json::array();
  for (size_t s = 0; s < findings.splits.size(); ++s) {
    json.push_back(split_json(findings.splits[s], findings.stats[s]));
    json.back()["imgsz"] = {findings.net_width, findings.net_height};
    json.back()["copies"] = Json::array();
    json.back()["suspects"] = Json::array();
  }
  for (const Copies& copies : findings.copies) {
    const Json entry = copies_json(findings, copies);
    for (size_t s = 0; s < findings.splits.size(); ++s) {
      const auto is_here = [&](const PictureRef& ref) { return ref.split == s; };
      if (std::any_of(copies.pictures.begin(), copies.pictures.end(), is_here)) json[s]["copies"].push_back(entry);
    }
  }
  for (size_t rank = 0; rank < findings.suspects.size(); ++rank) {
    const SuspectRef& one = findings.suspects[rank];
    Json entry = suspect_json(findings, one);
    entry["rank"] = rank + 1;  // among all splits
    json[one.picture.split]["suspects"].push_back(entry);
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace yolov3
