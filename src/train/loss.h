// The loss of the notes' compute_loss: GIoU of the boxes, focal objectness, class cross entropy; LossOptions has other
// rules for each. docs/loss.md: all formulae.
//
// Shape: raw maps N,A*(5+K),G_h,G_w logits, as engines give them. Frame: network pixels.
// Only positives are gathered for the box and class parts and only real boxes are compared for the ignore mask, so that
// nothing that is masked can turn into NaN (defects D24-D28). Divisions are by max(x, tiny), never with an added eps.
// Device and type: those of the raw maps; float64 works too.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "base/objects.h"
#include "detect/assign.h"
#include "net/spec.h"
#include "train/box_loss.h"
#include "train/options.h"

namespace yolov3 {

// Sums over cells, means over the batch (or as LossOptions::norm says); scalars that carry gradients.
struct LossParts {
  torch::Tensor giou, conf, prob;  // boxes, by whichever box loss; objectness; classes
  torch::Tensor total() const { return giou + conf + prob; }
};

struct HeadLoss {
  LossParts parts;
  int64_t positives = 0;
  torch::Tensor ignored;  // N,A,G_h,G_w bool: background cells that the ignore mask spares
};

struct YoloLoss {
  LossParts parts;              // weighted by the gains and the head balance, summed over heads
  std::vector<HeadLoss> heads;  // unweighted
};

// What the sums of a loss are divided by comes from these (LossOptions::norm): of the batch itself, or, where several
// ranks share it, of their parts together. Then the parts' losses, and their gradients, add up to those of the whole.
struct LossCounts {
  int64_t pictures = 0;
  std::vector<int64_t> positives;  // of each head
};
LossCounts loss_counts(int64_t pictures, const Targets& targets, size_t heads);

// heads must describe the grids of the raw maps. Objects are the targets' (Targets index them). Errors: a head balance
// for another number of heads.
YoloLoss yolo_loss(const std::vector<torch::Tensor>& raw_maps, const std::vector<Head>& heads,
                   const std::vector<std::vector<Annotation>>& objects_net, const Targets& targets,
                   const LossOptions& options);

// The same with the counts of the whole that this is a part of.
YoloLoss yolo_loss(const std::vector<torch::Tensor>& raw_maps, const std::vector<Head>& heads,
                   const std::vector<std::vector<Annotation>>& objects_net, const Targets& targets,
                   const LossOptions& options, const LossCounts& whole);

// Errors: settings without meaning, naming the option.
void check_loss_options(const LossOptions& options);
// ... or for a network of other heads.
void check_head_balance(const LossOptions& options, size_t heads);

}  // namespace yolov3
