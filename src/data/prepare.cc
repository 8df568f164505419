#include "data/prepare.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "data/augment_affine.h"
#include "data/augment_cutout.h"
#include "data/augment_mosaic.h"
#include "data/augment_pixels.h"
#include "data/loader.h"

namespace yolov3 {
namespace {

// The boxes in other pixels: cut to the picture, mapped, cut to the new frame. A stated area follows its box.
template <class Map>
std::vector<Annotation> rescaled(const std::vector<Annotation>& objects, float width, float height, float to_width,
                                 float to_height, Map map) {
  std::vector<Annotation> mapped;
  mapped.reserve(objects.size());
  for (Annotation object : objects) {
    const Box box = clip(map(clip(object.box, width, height)), to_width, to_height);
    if (!(box.width() > 0 && box.height() > 0)) continue;
    object.area *= box.area() / object.box.area();
    object.box = box;
    mapped.push_back(object);
  }
  return mapped;
}

// Boxes are marked in the full picture; a reduced decode has its sides rounded, so each axis has its own exact ratio.
Sample sample_in_decoded_pixels(LoadedImage loaded, const std::vector<Annotation>& objects) {
  const auto full_width = static_cast<float>(loaded.full_width), full_height = static_cast<float>(loaded.full_height);
  const auto width = static_cast<float>(loaded.image.width), height = static_cast<float>(loaded.image.height);
  auto scaled = rescaled(objects, full_width, full_height, width, height, [&](const Box& box) {
    return Box{box.x0 * width / full_width, box.y0 * height / full_height, box.x1 * width / full_width,
               box.y1 * height / full_height};
  });
  return {std::move(loaded.image), std::move(scaled)};
}

bool too_small(const Box& box, float min_box_px) { return box.width() < min_box_px || box.height() < min_box_px; }

// Makes one sample. `more` is the stream of all that is not the notes'.
class SampleMaker {
 public:
  SampleMaker(const Dataset* dataset, const PictureSampler* sampler, const LoaderOptions& options, int width,
              int height, Rng more)
      : dataset_(dataset),
        sampler_(sampler),
        options_(options),
        augment_(options.augment),
        width_(width),
        height_(height),
        more_(more) {}

  Sample make(const Example& example, Rng& notes);
  PreparedSample& facts() { return facts_; }      // of the first picture read
  bool error_is_named() const { return named_; }  // what make() threw names its picture

 private:
  Sample view(const Example& example, Rng& notes);
  Sample mosaic(const Example& example, Rng& notes);
  Sample augmented_picture(const Example& example, Rng& notes);
  Sample alone(const Example& example, Rng& notes);
  const Example& another();
  LoadedImage read(const Example& example);

  const Dataset* dataset_;  // null: there is no other picture
  const PictureSampler* sampler_;
  const LoaderOptions& options_;
  const AugmentOptions& augment_;
  const int width_, height_;
  Rng more_;
  PreparedSample facts_;
  const Example* first_ = nullptr;
  bool named_ = false;
};

// An error names the picture that could not be read, and the one that wanted it.
LoadedImage SampleMaker::read(const Example& example) {
  const LoadOptions decode = options_.exact_decode ? LoadOptions{} : LoadOptions{width_, height_};
  const bool first = first_ == nullptr;
  if (first) first_ = &example;
  try {
    LoadedImage loaded = load_example(example, decode);
    if (first) facts_.image_width = loaded.full_width, facts_.image_height = loaded.full_height;
    return loaded;
  } catch (const Error& error) {
    std::string message = with_picture(error.what(), example);
    named_ = true;
    if (!first) message += fmt::format(", in a mosaic or mixup with {}", first_->image.string());
    throw Error(message, error.kind());
  }
}

// In the picture's pixels.
Sample SampleMaker::augmented_picture(const Example& example, Rng& notes) {
  Sample sample = sample_in_decoded_pixels(read(example), example.objects);
  augment(sample, augment_, notes);
  random_vertical_flip(sample, augment_.flipud, more_);
  return sample;
}

// From here on in the network's pixels.
Sample SampleMaker::alone(const Example& example, Rng& notes) {
  Sample sample;
  int frame_width = 0, frame_height = 0;  // of what the boxes are in
  if (options_.augmented) {
    sample = augmented_picture(example, notes);
    frame_width = sample.image.width;
    frame_height = sample.image.height;
  } else {
    LoadedImage loaded = read(example);
    frame_width = loaded.full_width;
    frame_height = loaded.full_height;
    sample = {std::move(loaded.image), example.objects};
  }
  const Letterbox letterbox =
      (options_.letterbox ? make_letterbox : make_stretch)(frame_width, frame_height, width_, height_);
  if (options_.augmented && has_affine(augment_)) {
    const Affine map = after(random_affine(augment_, width_, height_, more_), affine_of(letterbox));
    return {warp(sample.image, map, width_, height_),
            map_objects(sample.objects, map, width_, height_, augment_.min_visible)};
  }
  facts_.letterbox = letterbox;
  auto objects = rescaled(sample.objects, static_cast<float>(frame_width), static_cast<float>(frame_height),
                          static_cast<float>(width_), static_cast<float>(height_),
                          [&](const Box& box) { return net_from_image(letterbox, box); });
  return {apply_letterbox(sample.image, letterbox), std::move(objects)};
}

const Example& SampleMaker::another() { return dataset_->examples[static_cast<size_t>(sampler_->draw(more_))]; }

Sample SampleMaker::mosaic(const Example& example, Rng& notes) {
  const bool moved = has_affine(augment_);
  const MosaicPlan plan = plan_mosaic(width_, height_, moved, more_);
  Sample canvas{Image(plan.width, plan.height, kPadGrey), {}};
  const auto first_quadrant = static_cast<int>(more_.integer(0, 3));
  for (int tile = 0; tile < 4; ++tile) {
    Rng tile_notes = tile == 0 ? notes : Rng(more_.next());
    const Sample picture = augmented_picture(tile == 0 ? example : another(), tile_notes);
    lay_tile(canvas, plan, (first_quadrant + tile) % 4, picture, augment_.min_visible, more_);
  }
  if (!moved) return canvas;
  const Affine window{1, 0, -static_cast<double>(width_ / 2), 0, 1, -static_cast<double>(height_ / 2)};
  const Affine map = after(random_affine(augment_, width_, height_, more_), window);
  return {warp(canvas.image, map, width_, height_),
          map_objects(canvas.objects, map, width_, height_, augment_.min_visible)};
}

// One picture, or four, as the window on them shows them.
Sample SampleMaker::view(const Example& example, Rng& notes) {
  const bool four = options_.augmented && dataset_ != nullptr && more_.chance(augment_.mosaic);
  return four ? mosaic(example, notes) : alone(example, notes);
}

// The recipe.
Sample SampleMaker::make(const Example& example, Rng& notes) {
  facts_.letterbox = make_stretch(width_, height_, width_, height_);
  Sample sample = view(example, notes);
  if (options_.augmented) {
    if (dataset_ != nullptr && more_.chance(augment_.mixup)) {
      const Letterbox letterbox = facts_.letterbox;
      Rng other_notes(more_.next());
      const double share = random_mixup_share(more_);
      mix_in(sample, view(another(), other_notes), share);
      facts_.letterbox = letterbox;
    }
    augment_pixels(sample.image, augment_, more_);
    random_cutout(sample, augment_.cutout, augment_.min_visible, more_);
  }
  std::erase_if(sample.objects, [&](const Annotation& object) { return too_small(object.box, options_.min_box_px); });
  return sample;
}

PreparedSample prepare(const Dataset* dataset, const PictureSampler* sampler, const Example& example,
                       const LoaderOptions& options, int width, int height, Rng rng, float* planes) {
  Rng first_draw = rng;
  SampleMaker maker(dataset, sampler, options, width, height, Rng(first_draw.next(), 1));
  try {
    Sample sample = maker.make(example, rng);
    maker.facts().objects_net = std::move(sample.objects);
    planes_from_image(sample.image, planes);
  } catch (const Error& error) {
    if (maker.error_is_named()) throw;
    throw Error(with_picture(error.what(), example), error.kind());
  }
  return std::move(maker.facts());
}

}  // namespace

PreparedSample prepare_sample(const Dataset& dataset, const PictureSampler& sampler, int64_t example,
                              const LoaderOptions& options, int width, int height, Rng rng, float* planes) {
  return prepare(&dataset, &sampler, dataset.examples[static_cast<size_t>(example)], options, width, height, rng,
                 planes);
}

PreparedSample prepare_sample(const Example& example, const LoaderOptions& options, int width, int height, Rng rng,
                              float* planes) {
  return prepare(nullptr, nullptr, example, options, width, height, rng, planes);
}

std::vector<Annotation> objects_in_net(const Example& example, const LoaderOptions& options) {
  check(example.width > 0 && example.height > 0, "{}: the size of the picture is not known", example.image.string());
  const auto make = options.letterbox ? make_letterbox : make_stretch;
  const Letterbox letterbox = make(example.width, example.height, options.width, options.height);
  std::vector<Annotation> objects =
      rescaled(example.objects, static_cast<float>(example.width), static_cast<float>(example.height),
               static_cast<float>(options.width), static_cast<float>(options.height),
               [&](const Box& box) { return net_from_image(letterbox, box); });
  std::erase_if(objects, [&](const Annotation& object) { return too_small(object.box, options.min_box_px); });
  return objects;
}

TinyObjects find_tiny_objects(const Dataset& dataset, const LoaderOptions& options) {
  const auto make = options.letterbox ? make_letterbox : make_stretch;
  TinyObjects found;
  for (const Example& example : dataset.examples) {
    if (example.width <= 0 || example.height <= 0) continue;
    const Letterbox letterbox = make(example.width, example.height, options.width, options.height);
    for (const Annotation& object : example.objects) {
      if (object.crowd) continue;
      ++found.objects;
      const Box box = net_from_image(
          letterbox, clip(object.box, static_cast<float>(example.width), static_cast<float>(example.height)));
      if (!too_small(box, options.min_box_px)) continue;
      if (found.tiny++ == 0) {
        found.first = fmt::format("{} ({}): {:.2f} x {:.2f} px", example.image.string(), example.origin, box.width(),
                                  box.height());
      }
    }
  }
  return found;
}

std::string with_picture(const std::string& message, const Example& example) {
  std::string text = message;
  const std::string picture = example.image.string();
  if (text.find(picture) == std::string::npos) text = picture + ": " + text;
  const std::string& origin = example.origin;
  if (!origin.empty() && text.find(origin) == std::string::npos) text += " (from " + origin + ")";
  return text;
}

}  // namespace yolov3
