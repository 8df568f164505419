#include "app/rank_start.h"

#include <gtest/gtest.h>

#include <map>

#include "app/test_program.h"
#include "base/error.h"

namespace yolov3 {
namespace {

std::optional<RankPlace> place_of(const std::map<std::string, std::string>& variables) {
  return parse_rank_place([&](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(RankStart, NoVariablesAreNoRanks) { EXPECT_FALSE(place_of({{"MASTER_PORT", "1"}}).has_value()); }

TEST(RankStart, TorchrunsVariables) {
  const auto place = place_of({{"RANK", "3"},
                               {"WORLD_SIZE", "8"},
                               {"LOCAL_WORLD_SIZE", "4"},
                               {"MASTER_ADDR", "node0"},
                               {"MASTER_PORT", "1234"},
                               {"OMPI_COMM_WORLD_RANK", "7"}});
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->rank, 3);
  EXPECT_EQ(place->ranks, 8);
  EXPECT_EQ(place->local_ranks, 4);
  EXPECT_EQ(place->host, "node0");
  EXPECT_EQ(place->port, 1234);
}

TEST(RankStart, MpirunsVariables) {
  const auto ompi =
      place_of({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  ASSERT_TRUE(ompi.has_value());
  EXPECT_EQ(ompi->rank, 1);
  EXPECT_EQ(ompi->host, "127.0.0.1") << "all on one machine";
  EXPECT_EQ(ompi->port, 29500) << "torchrun's default";
  const auto pmi = place_of({{"PMI_RANK", "0"}, {"PMI_SIZE", "3"}, {"MASTER_ADDR", "10.0.0.1"}});
  ASSERT_TRUE(pmi.has_value());
  EXPECT_EQ(pmi->ranks, 3);
  EXPECT_EQ(pmi->host, "10.0.0.1");
}

TEST(RankStart, WhatIsWrongWithVariablesIsSaid) {
  const std::map<std::string, std::string> wrong[] = {
      {{"RANK", "0"}},
      {{"WORLD_SIZE", "2"}},
      {{"RANK", "2"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}},
      {{"RANK", "-1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}},
      {{"RANK", "x"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}},
      {{"RANK", "0"}, {"WORLD_SIZE", "0"}, {"MASTER_ADDR", "a"}},
      {{"RANK", "0"}, {"WORLD_SIZE", "2"}},
      {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "70000"}}};
  for (const auto& variables : wrong) EXPECT_THROW(place_of(variables), Error) << variables.begin()->first;
}

TEST(RankStart, MoreRanksThanPicturesInABatchAreRefused) {
  const Ran ran = run({"train", "--data", "synthetic:8", "--batch", "2", "--ranks", "3"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_SAYS(ran.err, "give a number of at least 3");
}

}  // namespace
}  // namespace yolov3
