// The networks of test_networks.h.
#include "engine/test_networks.h"

namespace yolov3 {
namespace {

std::string conv(int filters, int size, int stride, const std::string& activation, int groups = 1, bool norm = true) {
  std::string text = "[convolutional]\n";
  if (norm) text += "batch_normalize=1\n";
  text += "filters=" + std::to_string(filters) + "\nsize=" + std::to_string(size) +
          "\nstride=" + std::to_string(stride) + "\npad=1\nactivation=" + activation + "\n";
  if (groups > 1) text += "groups=" + std::to_string(groups) + "\n";
  return text;
}

std::string shortcut(int from, const std::string& activation = "linear") {
  return "[shortcut]\nfrom=" + std::to_string(from) + "\nactivation=" + activation + "\n";
}

std::string route(const std::string& layers, const std::string& more = "") {
  return "[route]\nlayers=" + layers + "\n" + more;
}

std::string maxpool(int size, int stride) {
  return "[maxpool]\nsize=" + std::to_string(size) + "\nstride=" + std::to_string(stride) + "\n";
}

std::string head(int mask = 0) {
  return conv(7, 1, 1, "linear", 1, false) + "[yolo]\nmask=" + std::to_string(mask) +
         "\nanchors=4,4, 8,8\nclasses=2\nnum=2\n";
}

}  // namespace

std::vector<NamedCfg> kinds_of_networks() {
  const std::string stem = conv(16, 3, 2, "leaky");
  std::vector<NamedCfg> all;
  for (const char* activation : {"linear", "leaky", "relu", "logistic", "mish", "swish"}) {
    all.push_back({std::string("Conv3x3_") + activation, stem + conv(32, 3, 1, activation) + head()});
    all.push_back({std::string("Conv1x1_") + activation, stem + conv(24, 1, 1, activation) + head()});
  }
  all.push_back(
      {"ConvOddChannels", conv(13, 3, 1, "leaky") + conv(37, 3, 2, "leaky") + conv(5, 1, 1, "leaky") + head()});
  all.push_back({"ConvWide", conv(8, 5, 2, "leaky") + conv(48, 7, 1, "leaky") + conv(16, 3, 4, "leaky") + head()});
  all.push_back({"ConvGroups", stem + conv(32, 3, 1, "leaky", 4) + conv(12, 1, 1, "leaky", 2) + head()});
  all.push_back({"ConvDepthwise", conv(24, 3, 2, "relu") + conv(24, 3, 1, "leaky", 24) + conv(24, 5, 2, "relu", 24) +
                                      conv(40, 1, 1, "linear") + head()});
  all.push_back({"Residual", stem + conv(8, 1, 1, "leaky") + conv(16, 3, 1, "leaky") + shortcut(-3) +
                                 conv(8, 1, 1, "leaky") + conv(16, 3, 1, "mish") + shortcut(-3) + head()});
  all.push_back({"ResidualOf1x1", stem + conv(16, 3, 1, "leaky") + conv(16, 1, 1, "leaky") + shortcut(-3) + head()});
  all.push_back({"ResidualReadTwice", stem + conv(16, 3, 1, "leaky") + shortcut(-2) + conv(16, 3, 1, "leaky") +
                                          shortcut(-4) + route("-1,-3") + head()});
  all.push_back({"ResidualActivated", stem + conv(16, 3, 1, "linear") + shortcut(-2, "leaky") + head()});
  all.push_back({"ResidualUnequal",
                 stem + conv(24, 3, 1, "leaky") + shortcut(-2) + conv(8, 1, 1, "leaky") + shortcut(-2) + head()});
  all.push_back({"RouteAligned", stem + conv(16, 1, 1, "leaky") + route("-1,-2") + conv(16, 3, 1, "leaky") + head()});
  all.push_back(
      {"RouteUnaligned", stem + conv(5, 1, 1, "leaky") + conv(9, 1, 1, "leaky") + route("-1,-2,-3") + head()});
  all.push_back(
      {"RouteTwice", stem + conv(16, 1, 1, "leaky") + route("-1,-1,-2,-1") + conv(16, 3, 1, "leaky") + head()});
  all.push_back({"RouteOfRoute", stem + conv(16, 1, 1, "leaky") + route("-1,-2") + route("-1,-2") + maxpool(2, 1) +
                                     route("-1,-2") + head()});
  all.push_back({"RouteGroups", stem + conv(48, 1, 1, "leaky") + route("-1", "groups=2\ngroup_id=1\n") +
                                    conv(16, 3, 1, "leaky") + route("-1,-3", "groups=4\ngroup_id=2\n") + head()});
  all.push_back({"RouteBack", stem + conv(8, 3, 1, "leaky") + route("-2") + conv(8, 1, 1, "leaky") + head()});
  all.push_back({"UpsampleJoined", stem + conv(32, 3, 2, "leaky") + head(1) + route("-3") + conv(16, 1, 1, "leaky") +
                                       "[upsample]\nstride=2\n" + route("-1,0") + conv(16, 3, 1, "leaky") + head()});
  all.push_back({"MaxPools", stem + maxpool(2, 2) + conv(16, 3, 1, "leaky") + maxpool(2, 1) + conv(24, 3, 1, "leaky") +
                                 maxpool(5, 1) + route("-2") + maxpool(3, 1) + route("-1,-3") + head()});
  all.push_back({"SqueezeExcite", stem + conv(16, 3, 1, "swish") + "[avgpool]\n" + conv(4, 1, 1, "relu", 1, false) +
                                      conv(16, 1, 1, "logistic", 1, false) + "[scale_channels]\nfrom=-4\n" +
                                      conv(16, 1, 1, "linear") + head()});
  all.push_back({"Dropout", stem + "[dropout]\nprobability=0.3\n" + conv(16, 3, 1, "leaky") +
                                "[dropout]\nprobability=0.5\n" + head()});
  all.push_back({"ResidualReadBetween", stem + conv(16, 3, 1, "leaky") + conv(16, 3, 1, "leaky") + route("-2") +
                                            conv(16, 1, 1, "leaky") + route("-1,-3") + conv(16, 1, 1, "leaky") +
                                            "[shortcut]\nfrom=-5\nactivation=linear\n" + head()});
  all.push_back({"CarrierFarBefore", stem + conv(16, 3, 1, "leaky") + conv(16, 3, 1, "leaky") + route("-2") +
                                         conv(16, 1, 1, "leaky") + shortcut(-3) + head()});
  all.push_back({"JoinedThenSummed", stem + conv(16, 1, 1, "leaky") + route("-1,-2") + conv(32, 3, 1, "leaky") +
                                         shortcut(-2) + route("-1,-4") + conv(16, 1, 1, "leaky") + head()});
  all.push_back({"PoolsJoinedThenSummed", stem + maxpool(2, 1) + maxpool(3, 1) + route("-1,-2") +
                                              conv(32, 3, 1, "leaky") + shortcut(-2) + route("-1,-4") +
                                              conv(16, 1, 1, "leaky") + head()});
  all.push_back({"PoolFirst", maxpool(2, 2) + conv(16, 3, 1, "leaky") + head()});
  all.push_back({"UpsampleFirst", "[upsample]\nstride=2\n" + conv(16, 3, 2, "leaky") + head()});
  all.push_back({"InputJoined", "[dropout]\nprobability=0.5\n" + conv(16, 3, 1, "leaky") + route("0,1") +
                                    conv(16, 3, 2, "leaky") + head()});
  all.push_back({"HeadReadElsewhere", stem + head(1) + route("-2") + conv(16, 3, 1, "leaky") + head()});
  return all;
}

}  // namespace yolov3
