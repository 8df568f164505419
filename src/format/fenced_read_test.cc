#include "format/fenced_read.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <thread>
#include <vector>

#include "base/files.h"
#include "format/hdf5_file.h"
#include "format/test_files.h"

namespace yolov3 {
namespace {

using testing::error_of;
using testing::expect_has;
using testing::TemporaryFolder;

TEST(FencedRead, BytesAndErrorsComeBack) {
  EXPECT_EQ(read_fenced("f", [](const PutBytes& put) { put("ab", 2), put("c", 1); }), "abc");
  EXPECT_EQ(read_fenced("f", [](const PutBytes&) {}), "");
  const std::string large(3 << 20, 'x');
  EXPECT_EQ(read_fenced("f", [&](const PutBytes& put) { put(large.data(), large.size()); }), large);
  EXPECT_EQ(error_of([] {
              read_fenced("f", [](const PutBytes& put) {
                put("half", 4);
                throw Error("f: its own words");
              });
            }),
            "f: its own words");
}

// Every way in which a library ends a process that it should not end.
TEST(FencedRead, EveryDeathIsAnError) {
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL}) {
    const std::string message = error_of([signal] {
      read_fenced("f", [signal](const PutBytes& put) {
        put("half", 4);
        ::signal(signal, SIG_DFL);  // a sanitizer would catch it
        ::raise(signal);
      });
    });
    expect_has(message, {"f: HDF5 crashed while it read this file", ::strsignal(signal)});
  }
  expect_has(error_of([] { read_fenced("f", [](const PutBytes&) { ::_exit(77); }); }), {"f: ", "ended", "77"});
  expect_has(error_of([] { read_fenced("f", [](const PutBytes&) { ::raise(SIGKILL); }); }), {"f: ", "lack of memory"});
  // Once this came out of the child's read_fenced(), and it ran all further tests.
  expect_has(error_of([] { read_fenced("f", [](const PutBytes&) { throw 7; }); }), {"f: HDF5 ended the process"});
}

#ifndef __SANITIZE_ADDRESS__
// By hand: a function that calls itself for ever. (AddressSanitizer would report it.)
int dive(const int* above) {
  volatile int here = *above + 1;
  const int copy = here;
  return here == -1 ? 0 : dive(&copy) + here;
}
TEST(FencedRead, AStackThatOverflowsIsAnError) {
  expect_has(error_of([] {
               read_fenced("f", [](const PutBytes&) {
                 const int start = 0;
                 dive(&start);
               });
             }),
             {"f: HDF5 crashed"});
}
#endif

TEST(FencedRead, WhatNeverEndsIsAnError) {
  const std::string message = error_of([] {
    read_fenced("f",
                [](const PutBytes&) {
                  volatile bool never = false;
                  while (!never) {
                  }
                },
                {.cpu_seconds = 1});
  });
  expect_has(message, {"f: ", "did not come to an end", "1 s"});
}

TEST(FencedRead, WhatTakesTooMuchMemoryIsAnError) {
  const std::string message = error_of([] {
    read_fenced("f",
                [](const PutBytes& put) {
                  std::vector<std::unique_ptr<char[]>> kept;
                  for (int i = 0; i < 64; ++i) kept.push_back(std::make_unique<char[]>(8 << 20));  // 512 MB
                  put(kept.back().get(), 1);
                },
                {.more_memory = 64 << 20});
  });
#ifdef __SANITIZE_ADDRESS__
  EXPECT_TRUE(message.starts_with("f: ")) << message;  // its allocator ends the process
#else
  expect_has(message, {"f: ", "more memory"});
#endif
}

// Some parents leave it so, and it survives exec.
TEST(FencedRead, WorksWhereTheEndsOfChildrenAreIgnored) {
  const auto before = ::signal(SIGCHLD, SIG_IGN);
  EXPECT_EQ(error_of([] { EXPECT_EQ(read_fenced("f", [](const PutBytes& put) { put("abc", 3); }), "abc"); }), "");
  EXPECT_EQ(error_of([] { read_fenced("f", [](const PutBytes&) { throw Error("its own words"); }); }), "its own words");
  expect_has(error_of([] {
               read_fenced("f", [](const PutBytes& put) {
                 put("half", 4);
                 ::raise(SIGKILL);
               });
             }),
             {"f: ", "died", "SIGCHLD"});
  ::signal(SIGCHLD, before);
}

TEST(FencedRead, NoDescriptorStaysOpen) {
  const auto open_now = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  read_fenced("f", [](const PutBytes&) {});
  const auto before = open_now();
  for (int i = 0; i < 20; ++i) {
    read_fenced("f", [](const PutBytes& put) { put("x", 1); });
    error_of([] { read_fenced("f", [](const PutBytes&) { throw Error("no"); }); });
  }
  EXPECT_EQ(open_now(), before);
}

// A thread that is inside HDF5 while another forks would leave HDF5's lock taken for ever in the child.
TEST(FencedRead, OtherThreadsMayUseHdf5) {
  const TemporaryFolder folder;
  save_model(folder / "a.h5", testing::small_model());
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) load_model(folder / "a.h5");
  });
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(read_fenced("f",
                          [](const PutBytes& put) {
                            const hdf5::Session session;
                            put("x", 1);
                          }),
              "x");
  }
  stop = true;
  other.join();
}

}  // namespace
}  // namespace yolov3
