#include "data/stratify.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <tuple>

#include "base/rng.h"

namespace yolov3 {
namespace {

struct Group {
  std::vector<size_t> pictures;
  std::map<size_t, double> objects;  // by class: those that it has
};

std::vector<Group> all_groups(const std::vector<Example>& pictures, const std::vector<std::vector<size_t>>& given) {
  std::vector<Group> groups;
  std::vector<bool> grouped(pictures.size());
  for (const std::vector<size_t>& members : given) {
    groups.push_back({members, {}});
    for (const size_t i : members) grouped[i] = true;
  }
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (!grouped[i]) groups.push_back({{i}, {}});
  }
  for (Group& group : groups) {
    for (const size_t i : group.pictures) {
      for (const Annotation& object : pictures[i].objects) {
        if (!object.crowd) ++group.objects[static_cast<size_t>(object.class_id)];
      }
    }
  }
  return groups;
}

class Dealer {
 public:
  Dealer(std::vector<Group> groups, size_t classes, size_t pictures, const std::vector<double>& shares)
      : groups_(std::move(groups)),
        split_of_(pictures),
        lacks_(shares.size(), std::vector<double>(classes)),
        holders_(classes),
        undealt_(classes) {
    std::vector<double> total(classes);
    for (size_t g = 0; g < groups_.size(); ++g) {
      for (const auto& [k, objects] : groups_[g].objects) {
        total[k] += objects;
        holders_[k].push_back(g);
        ++undealt_[k];
      }
    }
    for (size_t s = 0; s < shares.size(); ++s) {
      lacks_pictures_.push_back(shares[s] * static_cast<double>(pictures));
      wanted_pictures_.push_back(lacks_pictures_.back());
      for (size_t k = 0; k < classes; ++k) lacks_[s][k] = shares[s] * total[k];
    }
    dealt_.resize(groups_.size());
  }

  std::vector<size_t> deal() && {
    for (size_t k; (k = rarest_class()) < undealt_.size();) {
      for (const size_t g : holders_[k]) {
        if (!dealt_[g]) give(g, hungriest(k));
      }
    }
    for (size_t g = 0; g < groups_.size(); ++g) {  // backgrounds
      if (!dealt_[g]) give(g, hungriest(undealt_.size()));
    }
    return std::move(split_of_);
  }

 private:
  // Of the classes that undealt groups hold, the one in fewest of them; the number of classes when none is left.
  size_t rarest_class() const {
    size_t rarest = undealt_.size(), fewest = groups_.size() + 1;
    for (size_t k = 0; k < undealt_.size(); ++k) {
      if (undealt_[k] > 0 && undealt_[k] < fewest) rarest = k, fewest = undealt_[k];
    }
    return rarest;
  }

  // The split that lacks most of the class, of those that may still take pictures; then most pictures.
  size_t hungriest(size_t k) const {
    size_t best = 0;
    const auto hunger = [&](size_t s) {
      const double objects = k < lacks_[s].size() ? lacks_[s][k] : 0;
      return std::tuple(wanted_pictures_[s] > 0, lacks_pictures_[s] > 0, objects, lacks_pictures_[s]);
    };
    for (size_t s = 1; s < lacks_.size(); ++s) {
      if (hunger(s) > hunger(best)) best = s;
    }
    return best;
  }

  void give(size_t g, size_t split) {
    dealt_[g] = true;
    for (const size_t i : groups_[g].pictures) split_of_[i] = split;
    lacks_pictures_[split] -= static_cast<double>(groups_[g].pictures.size());
    for (const auto& [k, objects] : groups_[g].objects) {
      lacks_[split][k] -= objects;
      --undealt_[k];
    }
  }

  std::vector<Group> groups_;
  std::vector<size_t> split_of_;
  std::vector<std::vector<double>> lacks_;    // of each split: objects of each class
  std::vector<std::vector<size_t>> holders_;  // of each class: groups
  std::vector<size_t> undealt_;               // of these
  std::vector<double> lacks_pictures_, wanted_pictures_;
  std::vector<bool> dealt_;
};

}  // namespace

std::vector<size_t> stratify(const std::vector<Example>& pictures, size_t classes,
                             const std::vector<std::vector<size_t>>& groups, const std::vector<double>& shares,
                             uint64_t seed) {
  assert(!shares.empty());
  std::vector<Group> all = all_groups(pictures, groups);
  Rng rng(seed);
  rng.shuffle(all);
  return Dealer(std::move(all), classes, pictures.size(), shares).deal();
}

}  // namespace yolov3
