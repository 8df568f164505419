#include "base/interrupt.h"

#include <gtest/gtest.h>

#include <csignal>

namespace yolov3 {
namespace {

// The handlers of the test program are put back.
class Interrupt : public testing::Test {
 protected:
  void SetUp() override {
    sigaction(SIGINT, nullptr, &old_int_);
    sigaction(SIGTERM, nullptr, &old_term_);
    sigaction(SIGUSR1, nullptr, &old_usr1_);
    install_interrupt_handlers();
    clear_interrupt();
  }
  void TearDown() override {
    clear_interrupt();
    sigaction(SIGINT, &old_int_, nullptr);
    sigaction(SIGTERM, &old_term_, nullptr);
    sigaction(SIGUSR1, &old_usr1_, nullptr);
  }

 private:
  struct sigaction old_int_ {
  }, old_term_{}, old_usr1_{};
};

TEST_F(Interrupt, TheFirstSignalIsAQuestion) {
  EXPECT_EQ(interrupt_signal(), 0);
  std::raise(SIGTERM);
  EXPECT_EQ(interrupt_signal(), SIGTERM);
  clear_interrupt();
  EXPECT_EQ(interrupt_signal(), 0);
  std::raise(SIGINT);
  EXPECT_EQ(interrupt_signal(), SIGINT);
}

TEST_F(Interrupt, TheWordOfTheStarterMayComeAgain) {
  std::raise(SIGTERM);
  std::raise(SIGUSR1);
  std::raise(SIGUSR1);
  EXPECT_EQ(interrupt_signal(), SIGTERM);
  EXPECT_EQ(interrupt_name(), "signal 15");
  clear_interrupt();
  std::raise(SIGUSR1);
  EXPECT_EQ(interrupt_signal(), SIGUSR1);
  EXPECT_EQ(interrupt_name(), "the process that started this one");
}

// It may come before the program has handlers: whoever starts it holds it back until then.
TEST_F(Interrupt, TheWordOfTheStarterIsHeldBackUntilThereAreHandlers) {
  sigset_t word, before;
  sigemptyset(&word);
  sigaddset(&word, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &word, &before);
  std::raise(SIGUSR1);
  EXPECT_EQ(interrupt_signal(), 0);
  install_interrupt_handlers();
  EXPECT_EQ(interrupt_signal(), SIGUSR1);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

using InterruptDeathTest = Interrupt;

TEST_F(InterruptDeathTest, TheSecondSignalEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        std::raise(SIGTERM);
        std::raise(SIGINT);
      },
      testing::ExitedWithCode(128 + SIGINT), "");
  EXPECT_EQ(interrupt_signal(), 0);
}

}  // namespace
}  // namespace yolov3
