#include "train/ranks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <future>

#include "data/loader.h"
#include "data/synthetic.h"
#include "net/builder.h"
#include "train/parameters.h"
#include "train/rank_state.h"
#include "train/setup.h"
#include "train/step.h"
#include "train/test_ranks.h"

namespace yolov3 {
namespace {

constexpr double kTimeoutSeconds = 60;

using Errors = std::vector<std::string>;

// --- Between the ranks ------------------------------------------------------------------------------------------------

TEST(Ranks, AloneEveryCallReturnsWhatItWasGiven) {
  Ranks ranks;
  double numbers[] = {1, 2};
  ranks.sum(numbers);
  EXPECT_EQ(numbers[1], 2);
  EXPECT_EQ(ranks.text_from_first("a", ""), "a");
  EXPECT_EQ(ranks.texts("b", ""), Errors{"b"});
  ranks.meet("");
  ranks.leave();
}

TEST(Ranks, ThreeAddUpCopyAndTell) {
  const Errors errors = as_ranks(3, [](const RankPlace& place) {
    Ranks ranks(place, kTimeoutSeconds, torch::kCPU);
    double numbers[] = {1.0 + place.rank, 10.0 * place.rank};
    ranks.sum(numbers);
    EXPECT_EQ(numbers[0], 6);
    EXPECT_EQ(numbers[1], 30);
    std::vector<torch::Tensor> flats;
    for (int i = 0; i < 5; ++i) flats.push_back(torch::full({1000 + i}, static_cast<float>(place.rank + i)));
    for (const torch::Tensor& flat : flats) ranks.begin_sum(flat);
    ranks.finish_sums();
    for (int i = 0; i < 5; ++i) EXPECT_TRUE((flats[static_cast<size_t>(i)] == 3 + 3 * i).all().item<bool>()) << i;
    torch::Tensor kernel = torch::full({4, 3, 2, 2}, place.rank + 7.0f).contiguous(torch::MemoryFormat::ChannelsLast);
    ranks.copy_from_first(kernel);
    EXPECT_TRUE((kernel == 7).all().item<bool>());
    EXPECT_EQ(ranks.text_from_first(place.rank == 0 ? "from 0" : "lost", "a word"), "from 0");
    EXPECT_EQ(ranks.text_from_first("", "nothing"), "");
    const std::string mine(static_cast<size_t>(place.rank), 'x');
    EXPECT_EQ(ranks.texts(mine, "words"), (Errors{"", "x", "xx"}));
    ranks.leave();
  });
  EXPECT_EQ(errors, Errors(3));
}

TEST(Ranks, WhoDoesNotComeIsNamed) {
  const Errors errors = as_ranks(2, [](RankPlace place) {
    place.ranks = 4;                     // and nobody is 2 or 3
    Ranks ranks(place, 5, torch::kCPU);  // rank 1 may ask before rank 0 listens, and asks again a second later
  });
  for (const std::string& error : errors) {
    EXPECT_NE(error.find("ranks 2, 3 did not come"), std::string::npos) << error;
  }
}

TEST(Ranks, AnErrorOfOneEndsTheOthersWithItsWords) {
  const Errors errors = as_ranks(3, [](const RankPlace& place) {
    Ranks ranks(place, kTimeoutSeconds, torch::kCPU);
    try {
      check(place.rank != 1, "a.jpg: damaged");
      double number[] = {1};
      ranks.sum(number);
    } catch (const Error& error) {
      ranks.leave(error.what());
      throw;
    }
  });
  EXPECT_EQ(errors[1], "a.jpg: damaged");
  for (const int rank : {0, 2}) {
    const std::string& error = errors[static_cast<size_t>(rank)];
    EXPECT_NE(error.find("rank 1"), std::string::npos) << error;
    EXPECT_NE(error.find("a.jpg: damaged"), std::string::npos) << error;
  }
}

TEST(Ranks, WhoStallsIsNamed) {
  std::promise<void> gave_up;
  const Errors errors = as_ranks(2, [&](const RankPlace& place) {
    Ranks ranks(place, 3, torch::kCPU);
    if (place.rank == 1) return gave_up.get_future().wait();
    double number[] = {1};
    try {
      ranks.sum(number);
    } catch (const Error&) {
      gave_up.set_value();
      throw;
    }
  });
  EXPECT_NE(errors[0].find("rank 1"), std::string::npos) << errors[0];
  EXPECT_NE(errors[0].find("stalls"), std::string::npos) << errors[0];
}

TEST(Ranks, DifferencesAreNamed) {
  EXPECT_EQ(first_difference("a = 1\nb = 2\n", "a = 1\nb = 2\n"), "");
  EXPECT_EQ(first_difference("a = 1\nb = 2\n", "a = 1\nb = 3\n"), "b '2' and '3'");
  EXPECT_EQ(first_difference("a = 1\nb = 2\n", "a = 1\n"), "b '2' and none");
  EXPECT_EQ(first_difference("a = 1\n", "a = 1\nc = x\n"), "c none and 'x'");
}

// --- Steps ------------------------------------------------------------------------------------------------------------

NetworkSpec small_network() {
  NetworkBuilder net({3, 64, 64});
  net.conv(8, 3, 2).conv(16, 3, 2).conv(16, 3, 2).conv(16, 1).conv(16, 3).shortcut(2);
  net.conv(45, 1, 1, Activation::linear, false).yolo({{10, 12}, {18, 24}, {30, 36}}, {0, 1, 2}, 10);
  return net.build();
}

// What a run of some steps leaves, as one rank sees it.
struct Steps {
  std::vector<double> losses;
  std::vector<torch::Tensor> first_gradient;  // SGD's velocity after the first step is the gradient
  Weights weights;
};

// 18 pictures in batches of 8: the last of an epoch has 2.
Steps train_steps(Ranks& ranks, const RankPlace& place, const TrainOptions& options, int steps) {
  const NetworkSpec spec = small_network();
  const Dataset dataset = synthetic_dataset(0, "train", 18);
  TorchNetwork network(spec, random_weights(spec, {.seed = 2}), torch::kCPU, false);
  Optimizer optimizer = make_optimizer(network, options);
  GradientSums sums(ranks, network, 4096);  // several buckets
  GradientSums* of_several = ranks.alone() ? nullptr : &sums;
  const auto engine = make_engine_network(network, choose_plan(options, spec), options, of_several);
  Stepper stepper(network, engine.get(), optimizer, dataset, options, of_several);
  LoaderOptions loading;
  loading.batch = options.batch;
  loading.rank = place.rank;
  loading.ranks = place.ranks;
  loading.width = loading.height = 64;
  loading.shuffle = true;
  loading.workers = 0;
  Loader loader(dataset, loading);
  Steps result;
  for (int64_t epoch = 0; static_cast<int>(result.losses.size()) < steps; ++epoch) {
    loader.start_epoch(epoch);
    while (const std::optional<Batch> batch = loader.next()) {
      const StepLosses losses = stepper.step(*batch, 1e-3);
      result.losses.push_back(losses.giou + losses.conf + losses.prob);
      if (result.losses.size() == 1) {
        for (const OptimizerParam& param : optimizer.params()) {
          if (param.mean.defined()) result.first_gradient.push_back(param.mean.clone());
        }
      }
      if (static_cast<int>(result.losses.size()) == steps) break;
    }
  }
  result.weights = network.weights();
  return result;
}

TrainOptions sgd_options() {
  TrainOptions options;
  options.batch = 8;
  options.width = options.height = 64;
  options.precision = "f32";
  options.threads = 1;
  options.optimizer = "sgd";
  options.sync_bn = true;
  return options;
}

void expect_same_steps(int ranks, const TrainOptions& options, const std::string& what) {
  Ranks one;
  const Steps alone = train_steps(one, {}, options, 20);
  std::vector<Steps> together(static_cast<size_t>(ranks));
  const Errors errors = as_ranks(ranks, [&](const RankPlace& place) {
    Ranks here(place, kTimeoutSeconds, torch::kCPU);
    together[static_cast<size_t>(place.rank)] = train_steps(here, place, options, 20);
    here.leave();
  });
  ASSERT_EQ(errors, Errors(static_cast<size_t>(ranks))) << what;
  for (const Steps& steps : together) {
    double difference = 0, norm = 0;
    ASSERT_EQ(steps.first_gradient.size(), alone.first_gradient.size());
    for (size_t i = 0; i < alone.first_gradient.size(); ++i) {
      const torch::Tensor want = alone.first_gradient[i].to(torch::kFloat64);
      difference += (steps.first_gradient[i].to(torch::kFloat64) - want).square().sum().item<double>();
      norm += want.square().sum().item<double>();
    }
    double worst = 0;
    for (size_t i = 0; i < alone.losses.size(); ++i) {
      worst = std::max(worst, std::abs(steps.losses[i] / alone.losses[i] - 1));
    }
    std::printf("%s: gradient of step 1 differs by %.2g of its norm, losses of 20 steps by %.2g at most\n",
                what.c_str(), std::sqrt(difference / norm), worst);
    EXPECT_LT(std::sqrt(difference / norm), 1e-5) << what << ": the gradient of step 1";
    EXPECT_LT(worst, 1e-3) << what;
    EXPECT_EQ(steps.weights, together[0].weights) << what << ": the same bits on all ranks";
  }
}

// In the last batch of an epoch the first of three ranks has no picture.
TEST(Ranks, SeveralRanksAreOneWithTheSameSamples) {
  expect_same_steps(2, sgd_options(), "2 ranks");
  expect_same_steps(3, sgd_options(), "3 ranks");
}

TEST(Ranks, SlowEveryNormOfTheLossIsOfAllPictures) {
  TrainOptions options = sgd_options();
  options.loss.norm = LossNorm::positives;
  expect_same_steps(3, options, "norm by positives");
  options.loss.norm = LossNorm::means;
  expect_same_steps(3, options, "norm by means");
}

// Without --sync-bn, and by LibTorch: not the one rank's steps, but the same on all ranks.
TEST(Ranks, WithoutSharedStatisticsTheWeightsAreTheSameToo) {
  for (const char* engine : {"dnnl", "torch"}) {
    TrainOptions options = sgd_options();
    options.sync_bn = false;
    options.engine = engine;
    std::vector<Steps> together(3);
    const Errors errors = as_ranks(3, [&](const RankPlace& place) {
      Ranks here(place, kTimeoutSeconds, torch::kCPU);
      together[static_cast<size_t>(place.rank)] = train_steps(here, place, options, 7);
      here.leave();
    });
    EXPECT_EQ(errors, Errors(3)) << engine;
    EXPECT_EQ(together[1].weights, together[0].weights) << engine << ": running statistics included";
    EXPECT_EQ(together[2].weights, together[0].weights) << engine;
    EXPECT_EQ(together[1].losses, together[0].losses) << engine;
  }
}

TEST(Ranks, APictureThatIsNoNumberStopsTheStepOnAll) {
  const NetworkSpec spec = small_network();
  const Dataset dataset = synthetic_dataset(0, "train", 18);
  const TrainOptions options = sgd_options();
  const Errors errors = as_ranks(2, [&](const RankPlace& place) {
    Ranks ranks(place, kTimeoutSeconds, torch::kCPU);
    TorchNetwork network(spec, random_weights(spec, {.seed = 2}), torch::kCPU, false);
    const Weights before = network.weights();
    Optimizer optimizer = make_optimizer(network, options);
    GradientSums sums(ranks, network);
    const auto engine = make_engine_network(network, choose_plan(options, spec), options, &sums);
    Stepper stepper(network, engine.get(), optimizer, dataset, options, &sums);
    Batch batch{.images = Tensor({2, 3, 64, 64})};
    batch.objects_net.resize(2);
    batch.examples = {2 * place.rank, 2 * place.rank + 1};
    batch.whole = 4;
    if (place.rank == 1) batch.images[3 * 64 * 64 + 5] = NAN;
    try {
      stepper.step(batch, 1e-3);
      ADD_FAILURE() << "no error on rank " << place.rank;
    } catch (const NonFinite& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find("rank 1: "), std::string::npos) << text;
      EXPECT_NE(text.find(dataset.examples[3].image.string()), std::string::npos) << text;
    }
    EXPECT_EQ(network.weights(), before);
    ranks.leave();
  });
  EXPECT_EQ(errors, Errors(2));
}

TEST(Ranks, OtherWeightsOnOneRankAreNamedOnAll) {
  const NetworkSpec spec = small_network();
  const Errors errors = as_ranks(3, [&](const RankPlace& place) {
    Ranks ranks(place, kTimeoutSeconds, torch::kCPU);
    TorchNetwork network(spec, random_weights(spec, {.seed = 2}), torch::kCPU, false);
    check_same_weights(ranks, network, 1);
    if (place.rank == 2) {
      const torch::NoGradGuard no_grad;
      torch::Tensor last = network.params().back().view({-1});
      last[0] = std::nextafter(last[0].item<float>(), 10.0f);
    }
    std::string error;
    try {
      check_same_weights(ranks, network, 2);
    } catch (const Error& e) {
      error = e.what();
    }
    ranks.leave();
    check(error.empty(), "{}", error);
  });
  for (const std::string& error : errors) {
    EXPECT_NE(error.find("after step 2 rank 2 has other weights than rank 0"), std::string::npos) << error;
  }
}

TEST(Ranks, EachTakesTheGpuOfItsNumberOnItsMachine) {
  EXPECT_EQ(local_device("cuda", {.rank = 5, .ranks = 8, .local_ranks = 4, .local_rank = 1}), "cuda:1");
  EXPECT_EQ(local_device("cuda", {.rank = 1, .ranks = 2}), "cuda") << "one rank a machine";
  EXPECT_EQ(local_device("cuda:3", {.rank = 1, .ranks = 2, .local_ranks = 2, .local_rank = 1}), "cuda:3");
  EXPECT_EQ(local_device("cpu", {.rank = 1, .ranks = 2, .local_ranks = 2, .local_rank = 1}), "cpu");
}

}  // namespace
}  // namespace yolov3
