// Makes a DnnlTrainProgram: the forward steps layer by layer, the backward steps in reverse, then a place for everything.
// Two files: the convolutions (dnnl_train_builder_conv.cc), and what all steps share with the other layers.
#pragma once

#include <map>
#include <unordered_map>

#include "engine/dnnl_train_conv.h"
#include "engine/dnnl_train_program.h"
#include "engine/lowering.h"
#include "engine/map_gradients.h"

namespace yolov3 {

class TrainProgramBuilder {
 public:
  explicit TrainProgramBuilder(DnnlTrainProgram& program);
  void build();

 private:
  using Step = DnnlTrainProgram::Step;

  // What a batch norm's forward pass leaves for its backward pass.
  struct BatchStatistics {
    ChannelAffine affine;
    std::vector<double> inverse_deviation;  // 1 / sqrt(variance + epsilon)
    double count = 0;                       // numbers a channel, over all ranks
  };

  // What the backward pass of a convolution must know of its forward pass.
  struct ConvRecord {
    TrainConvSolution solution;
    int source = -1, z = -1, out = -1, residual = -1;  // maps; z == out: nothing follows the convolution
    int read = -1;  // the source as it is read: itself, or a copy in the maps' type where it is a head's f32 map
    std::shared_ptr<BatchStatistics> statistics;
  };

  // --- dnnl_train_builder.cc: all layers but convolutions
  void named(int layer, const std::function<void()>& make) const;
  void find_wanted_gradients();
  void forward_layer(int layer);
  void forward_shortcut(int layer, const Shortcut& shortcut);
  void forward_route(int layer, const Route& route);
  void forward_scale(int layer, const ScaleChannels& scale);
  void forward_output(int layer);
  void backward_layer(int layer);
  void backward_output(int layer, size_t head);
  void backward_shortcut(int layer, const Shortcut& shortcut);
  void backward_route(int layer, const Route& route);
  void backward_scale(int layer, const ScaleChannels& scale);
  void place_everything();

  // --- dnnl_train_builder_conv.cc
  // A map as a primitive wants it: the map itself, or a copy in another form.
  struct Argument {
    int map = -1;
    dnnl::memory memory;
    dnnl::memory map_memory;  // of the map, where it is another
    int buffer = -1;          // of the copy
  };
  void forward_conv(int layer, const Conv& conv);
  TrainConvTask task_of(int layer, const Conv& conv, const ConvRecord& record) const;
  void add_forward_primitive(int layer, const Conv& conv, const ConvRecord& record);
  void add_normalize(int layer, const Conv& conv, const ConvRecord& record);
  void add_statistics(int layer, const ConvRecord& record);
  void backward_conv(int layer, const Conv& conv);
  int add_normalize_gradient(int layer, const Conv& conv, const ConvRecord& record);
  bool give_residual(int layer, int residual, int gradient);
  void add_sums(int layer, const Conv& conv, const ConvRecord& record, int gradient,
                const std::shared_ptr<ChannelSlopes>& slopes);
  void add_kernel_gradient(int layer, const Conv& conv, const ConvRecord& record, int dz);
  std::function<double(float*)> gradient_conversion(int layer, const Conv& conv, const dnnl::memory& kernel);
  void add_data_gradient(int layer, const ConvRecord& record, int dz);

  Argument argument(int map, const dnnl::memory::desc& form);
  void convert_in(std::vector<Step>& steps, int layer, const Argument& argument);
  void convert_out(std::vector<Step>& steps, int layer, const Argument& argument);
  void add_convert(std::vector<Step>& steps, int layer, const Argument& argument, const dnnl::memory& from,
                   const dnnl::memory& to);
  // margin: bytes before and behind that belong to nobody.
  dnnl::memory place_memory(const dnnl::memory::desc& form, int buffer, int64_t margin = 0);
  void add_refresh(std::vector<Step>& steps, int layer, const std::shared_ptr<TrainKernel>& kernel);
  void add_primitive(std::vector<Step>& steps, int layer, const char* kind, const dnnl::primitive& primitive,
                     const dnnl::primitive_desc_base& description, std::unordered_map<int, dnnl::memory> arguments,
                     std::vector<int> maps, std::vector<int> buffers);

  // --- Maps and gradients
  int add_map(const MapFormat& format, const LayerShape& shape);
  int add_buffer(int64_t bytes);
  int map_of(int layer);  // of this layer's own output, or of the layer that it shares it with
  int input_of(int layer, size_t which);
  const Layer& layer_at(int layer) const { return spec_.layers[static_cast<size_t>(layer)]; }
  DnnlTrainProgram::Map& map_at(int map) { return p_.maps_[static_cast<size_t>(map)]; }
  const DnnlTrainProgram::Map& map_at(int map) const { return p_.maps_[static_cast<size_t>(map)]; }

  bool wants_gradient(int map) const {
    return map < static_cast<int>(wanted_.size()) && wanted_[static_cast<size_t>(map)];
  }
  int gradient_of(int map) const;  // the map of its gradient, -1: nobody has given one
  int fresh_gradient(int map);     // the same, made
  // Of a map whose gradient is read now: adds up what was given, and returns the map of it.
  int finish_gradient(int layer, int map);
  // Calls step(into map, Into) for a pass that can add.
  void give(int layer, const char* kind, int map, std::vector<int> reads,
            std::function<void(const MapView& to, Into)> pass);

  void add_step(std::vector<Step>& steps, int layer, const std::string& kind, std::vector<int> maps,
                std::function<void()> run, std::vector<int> buffers = {});

  DnnlTrainProgram& p_;
  DnnlTrainModel& model_;
  const NetworkSpec& spec_;
  const TrainingPlan& plan_;
  Lowering lowering_;
  MapFormat format_;                   // of maps and gradients
  std::vector<bool> needed_gradient_;  // of each layer's output
  std::vector<int> map_of_layer_;
  std::vector<bool> wanted_;              // of each map: whether it has a gradient
  std::map<int, int> gradients_;          // of maps
  std::map<int, int> second_gradients_;   // that are still to be added to the first
  std::map<int, int> before_activation_;  // of shortcuts and scale_channels with an activation: the map before it
  std::map<int, ConvRecord> convs_;
  std::map<int, ConvPasses> passes_of_;
};

}  // namespace yolov3
