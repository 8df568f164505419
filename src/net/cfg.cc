#include "net/cfg.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "net/builder.h"
#include "net/cfg_section.h"
#include "net/shape.h"

namespace yolov3 {
namespace {

constexpr int kSide = static_cast<int>(kMaxSide), kChannels = static_cast<int>(kMaxChannels);

// Known to Darknet, of no effect on what a network computes.
constexpr std::string_view kNetTraining =
    "batch subdivisions time_steps track augment_speed sequential_subdivisions num_steps momentum decay "
    "learning_rate learning_rate_min burn_in power policy step steps scale scales seq_scales gamma max_batches "
    "batches_per_cycle batches_cycle_mult sgdr_cycle sgdr_mult adam B1 B2 eps angle aspect saturation exposure hue "
    "flip blur gaussian_noise mixup cutmix mosaic mosaic_bound contrastive contrastive_jit_flip contrastive_color "
    "unsupervised letter_box max_crop min_crop max_ratio min_ratio center crop resize_step attention adversarial_lr "
    "max_chart_loss label_smooth_eps ema_alpha loss_scale dynamic_minibatch optimized_memory "
    "workspace_size_limit_MB try_fix_nan weights_reject_freq equidistant_point badlabels_rejection_percentage "
    "num_sigmas_reject_badlabels badlabels_reject_threshold use_cuda_graph clip log_step reset_seen "
    "train_images_num";
constexpr std::string_view kLayerTraining =
    "stopbackward dontload dontloadscales dontsave learning_scale_x onlyforward train_only_bn burnin_update "
    "learning_rate clip cost dropblock dropblock_size_rel dropblock_size_abs";
constexpr std::string_view kYoloTraining =
    "jitter resize random ignore_thresh truth_thresh iou_thresh iou_thresh_kind iou_loss iou_normalizer "
    "obj_normalizer cls_normalizer delta_normalizer uc_normalizer max_delta max nms_kind beta_nms focal_loss "
    "label_smooth_eps objectness_smooth counters_per_class show_details map tree stopbackward embedding_layer "
    "track_history_size sim_thresh dets_for_track dets_for_show track_ciou_norm";

Activation read_activation(CfgReader& in, std::string_view fallback) {
  static const std::vector<std::string> kNames = {"linear", "leaky", "relu", "logistic", "mish", "swish"};
  const std::string_view word = in.word("activation", fallback);
  const auto found = std::ranges::find(kNames, word);
  if (found == kNames.end()) {
    const std::string near = closest_match(word, kNames);
    in.error(in.line_of("activation"), "activation {} is not known{}; there are {}", quoted(word),
             near.empty() ? "" : " (did you mean " + near + "?)", fmt::format("{}", fmt::join(kNames, ", ")));
  }
  return static_cast<Activation>(found - kNames.begin());
}

// Darknet counts negative numbers back from the layer at hand, others from the start.
int absolute_layer(const CfgReader& in, std::string_view key, int value, int index) {
  const int layer = value < 0 ? index + value : value;
  if (layer < 0 || layer >= index) {
    in.error(in.line_of(key), "{} names layer {}, but this is layer {}: 0 to {} or -1 to -{} stand before it", key,
             value, index, index - 1, index);
  }
  return layer;
}

// --- One function a section: reads the keys it knows and appends the layer ----------------------------------------

void read_convolutional(CfgReader& in, NetworkBuilder& net) {
  in.require("filters");
  in.require("activation");  // Darknet would silently take logistic
  Conv conv;
  conv.filters = in.integer("filters", 1, 1, kChannels);
  conv.size = in.integer("size", 1, 1, kSide);
  conv.stride = in.integer("stride", 1, 1, kSide);
  for (const auto* key : {"stride_x", "stride_y"}) {
    if (in.integer(key, conv.stride, 1, kSide) != conv.stride) {
      in.error(in.line_of(key), "{} differs from stride {}: strides must be the same on both axes", key, conv.stride);
    }
  }
  conv.padding = in.integer("padding", 0, 0, kSide);
  if (in.integer("pad", 0, 0, 1) == 1) conv.padding = conv.size / 2;
  conv.groups = in.integer("groups", 1, 1, kChannels);
  conv.batch_normalize = in.integer("batch_normalize", 0, 0, 1) == 1;
  conv.activation = read_activation(in, "logistic");
  in.only("dilation", "1");
  for (const auto* key : {"antialiasing", "binary", "xnor", "bin_output", "use_bin_output", "flipped", "share_index",
                          "assisted_excitation", "sway", "rotate", "stretch", "stretch_sway", "deform", "coordconv",
                          "grad_centr", "reverse", "dontload", "dontloadscales", "dontsave"}) {
    in.only(key, "0");  // the last three change which numbers a .weights file has
  }
  net.add(conv, {net.last()});
}

void read_maxpool(CfgReader& in, NetworkBuilder& net) {
  MaxPool pool;
  pool.stride = in.integer("stride", 1, 1, kSide);
  pool.size = in.integer("size", pool.stride, 1, kSide);
  pool.padding = in.integer("padding", pool.size - 1, 0, 2 * kSide);
  for (const auto* key : {"maxpool_depth", "antialiasing"}) in.only(key, "0");
  for (const auto* key : {"stride_x", "stride_y"}) in.only(key, std::to_string(pool.stride));
  net.add(pool, {net.last()});
}

void read_avgpool(CfgReader&, NetworkBuilder& net) { net.avgpool(); }

void read_route(CfgReader& in, NetworkBuilder& net) {
  in.require("layers");
  std::vector<int> layers;
  for (const int value : in.integers("layers")) layers.push_back(absolute_layer(in, "layers", value, net.last() + 1));
  const int groups = in.integer("groups", 1, 1, kChannels);
  net.route(std::move(layers), groups, in.integer("group_id", 0, 0, kChannels));
}

void read_shortcut(CfgReader& in, NetworkBuilder& net) {
  in.require("from");
  const std::vector<int> from = in.integers("from");
  if (from.size() != 1) in.error(in.line_of("from"), "from lists {} layers; only one can be read", from.size());
  in.only("weights_type", "none");
  in.only("weights_normalization", "none");
  const int layer = absolute_layer(in, "from", from[0], net.last() + 1);
  net.shortcut(layer, read_activation(in, "linear"));
}

void read_upsample(CfgReader& in, NetworkBuilder& net) {
  in.only("scale", "1");
  net.upsample(in.integer("stride", 2, 1, kSide));
}

void read_dropout(CfgReader& in, NetworkBuilder& net) {
  net.dropout(static_cast<float>(in.number("probability", 0.5, 0, 1)));
}

void read_scale_channels(CfgReader& in, NetworkBuilder& net) {
  in.require("from");
  in.only("scale_wh", "0");
  const int from = absolute_layer(in, "from", in.integer("from", 0, -kSide, kSide), net.last() + 1);
  net.scale_channels(from, read_activation(in, "linear"));
}

void read_yolo(CfgReader& in, NetworkBuilder& net) {
  for (const auto* key : {"mask", "anchors", "classes"}) in.require(key);
  const std::vector<double> numbers = in.numbers("anchors");
  const size_t count = static_cast<size_t>(in.integer("num", 1, 1, kChannels));
  if (numbers.size() != 2 * count) {
    in.error(in.line_of("anchors"), "num={} anchors need {} numbers (width,height, ...), but there are {}", count,
             2 * count, numbers.size());
  }
  std::vector<Anchor> anchors;
  for (size_t i = 0; i < count; ++i) {
    anchors.push_back({static_cast<float>(numbers[2 * i]), static_cast<float>(numbers[2 * i + 1])});
  }
  in.only("new_coords", "0");
  const int classes = in.integer("classes", 20, 1, kChannels);
  net.yolo(std::move(anchors), in.integers("mask"), classes, static_cast<float>(in.number("scale_x_y", 1, 1, 8)));
}

struct SectionKind {
  std::string_view name, alias;
  void (*read)(CfgReader&, NetworkBuilder&);
};
constexpr SectionKind kSections[] = {
    {"convolutional", "conv", read_convolutional},
    {"maxpool", "max", read_maxpool},
    {"avgpool", "avg", read_avgpool},
    {"route", "route", read_route},
    {"shortcut", "shortcut", read_shortcut},
    {"upsample", "upsample", read_upsample},
    {"dropout", "dropout", read_dropout},
    {"scale_channels", "scale_channels", read_scale_channels},
    {"yolo", "yolo", read_yolo},
};

const SectionKind& find_kind(const CfgSection& section, const std::string& file) {
  std::vector<std::string> names;
  for (const SectionKind& kind : kSections) {
    if (section.name == kind.name || section.name == kind.alias) return kind;
    names.emplace_back(kind.name);
  }
  const std::string near = closest_match(section.name, names);
  fail("{}:{}: a section {} cannot be read{}; layers are {}", file, section.line, quoted(section.name),
       near.empty() ? "" : " (did you mean " + near + "?)", fmt::join(names, ", "));
}

NetworkBuilder read_net(const CfgSection& section, const std::string& file,
                        std::map<std::string, std::string>& training) {
  check(section.name == "net" || section.name == "network", "{}:{}: a .cfg begins with [net], not with {}", file,
        section.line, quoted(section.name));
  CfgReader in(section, file);
  for (const auto* key : {"width", "height"}) in.require(key);
  const LayerShape input{in.integer("channels", 3, 1, kChannels), in.integer("height", 0, 1, kSide),
                         in.integer("width", 0, 1, kSide)};
  const double epsilon = in.number("bn_epsilon", 1e-5f, 1e-12, 0.5);
  in.finish("net", kNetTraining, training);
  try {
    return NetworkBuilder(input, static_cast<float>(epsilon));
  } catch (const Error& error) {
    in.error(section.line, "{}", error.what());
  }
}

void read_layer(const CfgSection& section, const std::string& file, NetworkBuilder& net, ParsedCfg& parsed) {
  const SectionKind& kind = find_kind(section, file);
  CfgReader in(section, file);
  try {
    kind.read(in, net);
  } catch (const Error& error) {
    // Messages of the reader have their place already; those of the builder get it here.
    if (std::string_view(error.what()).starts_with(fmt::format("{}:", file))) throw;
    in.error(section.line, "{}", error.what());
  }
  in.finish(kind.name, kind.name == "yolo" ? kYoloTraining : kLayerTraining, parsed.training_keys);
}

}  // namespace

ParsedCfg parse_cfg(std::string_view text, const std::string& name) {
  const std::vector<CfgSection> sections = read_cfg_sections(text, name);
  ParsedCfg parsed;
  NetworkBuilder net = read_net(sections[0], name, parsed.training_keys);
  for (size_t i = 1; i < sections.size(); ++i) read_layer(sections[i], name, net, parsed);
  check(sections.size() > 1, "{}:{}: no layer follows [{}]", name, sections[0].line, sections[0].name);
  parsed.spec = net.build();
  try {
    if (is_detector(parsed.spec)) heads(parsed.spec);
  } catch (const Error& error) {
    fail("{}: {}", name, error.what());
  }
  return parsed;
}

}  // namespace yolov3
