#include "eval/findings.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace yolov3 {
namespace {

constexpr size_t kNobody = static_cast<size_t>(-1);

size_t size_bin(double side_px) {
  const auto& limits = SizeCounts::kLimitsPx;
  return static_cast<size_t>(std::ranges::upper_bound(limits, side_px) - limits.begin());
}

bool worse(const Miss& a, const Miss& b) {
  return std::tuple(a.score, -a.box.area(), a.picture) < std::tuple(b.score, -b.box.area(), b.picture);
}

bool worse(const FalseAlarm& a, const FalseAlarm& b) {
  return std::tuple(-a.score, a.picture) < std::tuple(-b.score, b.picture);
}

struct Nearest {
  const TruthBox* object = nullptr;
  double overlap = 0;
};

// The object of the answer's own class, or of the others, that it overlaps most.
Nearest nearest(std::span<const TruthBox> truth, const ScoredBox& answer, bool own_class) {
  Nearest best;
  for (const TruthBox& t : truth) {
    if (t.ignored() || (t.class_id == answer.class_id) != own_class) continue;
    const double shared = overlap(answer.box, t);
    if (shared > best.overlap) best = {&t, shared};
  }
  return best;
}

template <class T>
void keep_first(std::vector<T>& items, size_t count) {
  std::ranges::stable_sort(items, [](const T& a, const T& b) { return worse(a, b); });
  if (items.size() > count) items.resize(count);
}

}  // namespace

// One picture's boxes, and who took whom.
struct FindingsBuilder::Picture {
  std::span<const TruthBox> truth;
  std::span<const ScoredBox> detections;
  std::vector<ScoredBox> answers;  // detections over the score, best first
  std::vector<size_t> taker;       // of each object: index into answers, or kNobody
  std::vector<size_t> taken;       // of each answer: index into truth, or kNobody

  Picture(std::span<const TruthBox> objects, std::span<const ScoredBox> all, const FindingsOptions& options)
      : truth(objects), detections(all), taker(objects.size(), kNobody) {
    for (const ScoredBox& d : all) {
      if (d.score >= options.score) answers.push_back(d);
    }
    std::ranges::stable_sort(answers, [](const ScoredBox& a, const ScoredBox& b) { return a.score > b.score; });
    taken.assign(answers.size(), kNobody);
    for (size_t i = 0; i < answers.size(); ++i) {
      const size_t object = best_free(answers[i], options.iou);
      if (object == kNobody) continue;
      taken[i] = object;
      taker[object] = i;
    }
  }

  size_t best_free(const ScoredBox& answer, double iou) const {
    size_t best = kNobody;
    std::tuple best_rank(false, iou);  // of its own class, overlap
    for (size_t i = 0; i < truth.size(); ++i) {
      if (truth[i].ignored() || taker[i] != kNobody) continue;
      const double shared = overlap(answer.box, truth[i]);
      const std::tuple rank(truth[i].class_id == answer.class_id, shared);
      if (shared < iou || rank < best_rank || (best != kNobody && rank == best_rank)) continue;
      best = i;
      best_rank = rank;
    }
    return best;
  }

  // The best score, however low, of a detection of the object's class.
  double best_score(const TruthBox& object, double iou) const {
    double best = 0;
    for (const ScoredBox& d : detections) {
      if (d.class_id == object.class_id && overlap(d.box, object) >= iou) best = std::max(best, d.score);
    }
    return best;
  }

  // The answer of the object's class that took nothing and overlaps it most.
  size_t nearest_idle(const TruthBox& object) const {
    size_t best = kNobody;
    double most = 0;
    for (size_t i = 0; i < answers.size(); ++i) {
      if (taken[i] != kNobody || answers[i].class_id != object.class_id) continue;
      const double shared = overlap(answers[i].box, object);
      if (shared > most) most = shared, best = i;
    }
    return best;
  }

  bool on_ignored(const ScoredBox& answer, double iou) const {
    return std::ranges::any_of(truth, [&](const TruthBox& t) {
      return t.ignored() && t.class_id == answer.class_id && overlap(answer.box, t) >= iou;
    });
  }
};

FindingsBuilder::FindingsBuilder(int class_count, const FindingsOptions& options) {
  findings_.options = options;
  findings_.confusion = ConfusionMatrix(class_count);
}

void FindingsBuilder::add(std::span<const TruthBox> truth, std::span<const ScoredBox> detections, double pixels) {
  const Picture picture(truth, detections, findings_.options);
  for (size_t i = 0; i < picture.answers.size(); ++i) note_answer(picture, i);
  for (size_t i = 0; i < truth.size(); ++i) {
    if (!truth[i].ignored()) note_object(picture, i, pixels);
  }
  ++pictures_;
  keep_worst(false);
}

void FindingsBuilder::note_answer(const Picture& picture, size_t index) {
  const FindingsOptions& options = findings_.options;
  const ScoredBox& answer = picture.answers[index];
  const size_t taken = picture.taken[index];
  if (taken != kNobody) {
    findings_.confusion.add(picture.truth[taken].class_id, answer.class_id);
    if (picture.truth[taken].class_id == answer.class_id) return;
  } else if (picture.on_ignored(answer, options.iou)) {
    return;
  } else {
    findings_.confusion.add(findings_.confusion.background(), answer.class_id);
  }
  const Nearest own = nearest(picture.truth, answer, true), other = nearest(picture.truth, answer, false);
  FalseAlarm alarm{pictures_, answer.box, answer.class_id, answer.score, AlarmKind::background, own.overlap, {}};
  if (taken != kNobody) {
    alarm.kind = AlarmKind::wrong_class;
    alarm.object = picture.truth[taken];
  } else if (own.overlap >= options.iou) {
    alarm.kind = AlarmKind::duplicate;
    alarm.object = *own.object;
  } else if (other.overlap >= options.iou) {
    alarm.kind = AlarmKind::wrong_class;
    alarm.object = *other.object;
  } else if (own.overlap >= options.near_iou) {
    alarm.kind = AlarmKind::loose;
    alarm.object = *own.object;
  }
  ++findings_.alarm_kinds[static_cast<size_t>(alarm.kind)];
  findings_.false_alarms.push_back(alarm);
}

void FindingsBuilder::note_object(const Picture& picture, size_t index, double pixels) {
  const TruthBox& object = picture.truth[index];
  const size_t taker = picture.taker[index];
  const bool found = taker != kNobody && picture.answers[taker].class_id == object.class_id;
  const size_t bin = size_bin(std::sqrt(object.box.area()) * pixels);
  ++findings_.sizes.objects[bin];
  if (found) {
    ++findings_.sizes.found[bin];
    return;
  }
  Miss miss{pictures_, object.box, object.class_id, MissKind::unseen,
            picture.best_score(object, findings_.options.iou)};
  const size_t near = picture.nearest_idle(object);
  if (near != kNobody) miss.overlap = overlap(picture.answers[near].box, object);
  if (taker != kNobody) {
    miss.kind = MissKind::wrong_class;
    miss.answer = picture.answers[taker];
  } else {
    findings_.confusion.add(object.class_id, findings_.confusion.background());
    if (miss.overlap >= findings_.options.near_iou) {
      miss.kind = MissKind::loose;
      miss.answer = picture.answers[near];
    }
  }
  ++findings_.miss_kinds[static_cast<size_t>(miss.kind)];
  findings_.misses.push_back(miss);
}

// A model that knows nothing yet misses everything: the lists are cut now and then, not only at the end.
void FindingsBuilder::keep_worst(bool all_seen) {
  const size_t room = all_seen ? findings_.options.listed : 64 * (findings_.options.listed + 1);
  if (all_seen || findings_.misses.size() > room) keep_first(findings_.misses, findings_.options.listed);
  if (all_seen || findings_.false_alarms.size() > room) keep_first(findings_.false_alarms, findings_.options.listed);
}

Findings FindingsBuilder::finish() {
  keep_worst(true);
  return std::move(findings_);
}

}  // namespace yolov3
