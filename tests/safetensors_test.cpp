// safetensors and .npy files: what the format's own library writes is what we write and read, and
// no file, however torn, is more than one sentence.
#include <unistd.h>

#include <array>
#include <bit>
#include <cstring>

#include "tests/support.hpp"
#include "verify/safetensors/npy.hpp"
#include "verify/safetensors/reader.hpp"
#include "verify/safetensors/writer.hpp"

using namespace tplora;
using namespace tplora::core;

namespace {

const std::filesystem::path kData = TPLORA_SOURCE_DIR "/tests/data/safetensors";

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A file with this header and so many bytes of data.
std::string file_of(const std::string& header, std::size_t data) {
  const auto length = std::bit_cast<std::array<char, 8>>(static_cast<std::uint64_t>(header.size()));
  return std::string(length.begin(), length.end()) + header + std::string(data, '\0');
}

std::string refusal(const test::TemporaryFolder& folder, const std::string& bytes) {
  const auto opened = SafetensorsFile::open(folder.write("f.safetensors", bytes));
  return opened ? "" : opened.error().text();
}

bool says(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

/// What tests/data/safetensors/library.safetensors was written from by safetensors 0.8 (PyTorch).
std::vector<TensorToWrite> library_tensors() {
  std::vector<TensorToWrite> tensors;
  tensors.push_back(tensor_of("b.weight", ScalarType::fp32, {2, 3}, {0, 1, 2, 3, 4, 5}));
  tensors.push_back(tensor_of("a.weight", ScalarType::bf16, {1, 2}, {1.5F, -2}));
  tensors.push_back(tensor_of("z", {0, 1, 2, 3, 4}));
  tensors.push_back(tensor_of("h", ScalarType::fp16, {2}, {0.5F, 65504}));
  tensors.push_back(tensor_of("empty", ScalarType::fp32, {0, 4}, {}));
  tensors.push_back(tensor_of("scalar", ScalarType::fp32, {}, {7.25F}));
  tensors.push_back(tensor_of("\xc3\xa9", ScalarType::fp32, {1}, {1}));
  return tensors;
}

}  // namespace

TEST_CASE("files are those of the format's own library, byte for byte", "[files]") {
  const test::TemporaryFolder folder;
  const auto file = folder.write("ours.safetensors", "stood here before");
  const auto written = write_safetensors(file, {{"format", "pt"}}, library_tensors());
  REQUIRE(written);
  CHECK(bytes_of(file) == bytes_of(kData / "library.safetensors"));
  CHECK(written->bytes == static_cast<std::int64_t>(bytes_of(file).size()));
  CHECK(written->sha256.size() == 64);
}

TEST_CASE("what the format's own library wrote is read", "[files]") {
  const auto file = SafetensorsFile::open(kData / "library.safetensors");
  REQUIRE(file);
  CHECK(file->tensors().size() == 7);
  CHECK(file->metadata().at("format") == "pt");
  const TensorEntry* weight = file->find("b.weight");
  REQUIRE(weight != nullptr);
  CHECK(weight->type == TensorType::f32);
  CHECK(weight->shape == std::vector<std::int64_t>{2, 3});
  std::array<float, 2> last{};
  REQUIRE(file->read(*weight, 16, std::as_writable_bytes(std::span(last))));
  CHECK(last == std::array<float, 2>{4, 5});
  CHECK(file->find("empty")->bytes == 0);
  CHECK(file->find("no") == nullptr);
}

TEST_CASE("a torn or forged file is refused in one sentence", "[files]") {
  const test::TemporaryFolder folder;
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  CHECK(refusal(folder, file_of(good, 8)).empty());
  struct Bad {
    std::string bytes;
    const char* words;
  };
  const auto with = [](const std::string& text, std::size_t data) { return file_of(text, data); };
  const std::vector<Bad> files = {
      {"", "has 0 bytes"},
      {"1234567", "has 7 bytes"},
      {std::string(8, '\xff'), "is this a safetensors file?"},
      {std::string("\x40\0\0\0\0\0\0\0{}", 10), "it is cut off"},
      {with("", 0), "does not begin with"},
      {with(" {}", 0), "does not begin with"},
      {with("{", 0), "f.safetensors"},
      {with("[]", 0), "does not begin with"},
      {with(good, 7), "it is cut off"},
      {with(good, 9), "there is something behind them"},
      {with(R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})", 8), "dtype F33"},
      {with(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8), "expected 12"},
      {with(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8), "64 bits hold"},
      {with(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
       "64 bits hold"},
      {with(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2), "64 bits hold"},
      {with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8), "0 <= begin <= end"},
      {with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})", 8), "0 <= begin <= end"},
      {with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8), "two numbers"},
      {with(R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", 8), "shape"},
      {with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
            R"("a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
            16),
       "a"},
      {with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
            R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
            12),
       "it overlaps another"},
      {with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
            R"("b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})",
            16),
       "there is a gap"},
      {with(R"({"__metadata__":{"k":1}})", 0), "__metadata__"},
      {with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})", 8), "x"},
  };
  for (const Bad& bad : files) {
    const std::string text = refusal(folder, bad.bytes);
    INFO(text << " / " << bad.words);
    CHECK(!text.empty());
    CHECK(says(text, bad.words));
    CHECK(text.find('\n') == std::string::npos);
    CHECK(text.size() < 2000);
  }
  CHECK_FALSE(SafetensorsFile::open(kData));
  CHECK_FALSE(SafetensorsFile::open("/dev/zero"));
}

TEST_CASE("a file that shrinks while it is read is told, not fatal", "[files]") {
  const test::TemporaryFolder folder;
  const auto path =
      folder.write("f.safetensors",
                   file_of(R"({"a":{"dtype":"F32","shape":[256],"data_offsets":[0,1024]}})", 1024));
  const auto file = SafetensorsFile::open(path);
  REQUIRE(file);
  std::filesystem::resize_file(path, 512);
  std::vector<std::byte> all(1024);
  const auto read = file->read(*file->find("a"), 0, all);
  REQUIRE_FALSE(read);
  CHECK(says(read.error().text(), "it was cut off while it was read"));
}

TEST_CASE("output that cannot be written leaves nothing and says so", "[files]") {
  const test::TemporaryFolder folder;
  const auto written = write_text_file(folder.write("file", "x") / "below", "text");
  REQUIRE_FALSE(written);
  CHECK(written.error().is_output);
  const auto target = folder.write("kept", "old");
  {
    auto out = OutputFile::create(target);
    REQUIRE(out);
    REQUIRE(out->write(std::as_bytes(std::span("new", 3))));
  }  // never finished
  CHECK(bytes_of(target) == "old");
  CHECK(std::distance(std::filesystem::directory_iterator(target.parent_path()), {}) == 2);
}

TEST_CASE(".npy files are read as NumPy writes them, and others refused", "[files]") {
  const auto good = open_npy(kData / "f32.npy");
  REQUIRE(good);
  CHECK(good->array.shape == std::vector<std::int64_t>{2, 3});
  CHECK(good->array.bytes == 24);
  const test::TemporaryFolder folder;
  const std::string bytes = bytes_of(kData / "f32.npy");
  const auto refused = [&](std::string changed, const char* words) {
    const auto opened = open_npy(folder.write("f.npy", changed));
    return !opened && says(opened.error().text(), words);
  };
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string changed = bytes;
    return changed.replace(changed.find(from), from.size(), to);
  };
  CHECK(refused("", "is no .npy file"));
  CHECK(refused(bytes.substr(0, 9), "is no .npy file"));
  CHECK(refused(bytes.substr(0, 40), "no more than the file has"));
  CHECK(refused(bytes.substr(0, bytes.size() - 1), "has 23 bytes of data, expected 24"));
  CHECK(refused(replaced("<f4", ">f4"), "little-endian"));
  CHECK(refused(replaced("False", "True "), "Fortran"));
  CHECK(refused(replaced("(2, 3)", "(2, x)"), "as numpy.save writes them"));
  CHECK(refused(replaced("\x93NUMPY\x01", "\x93NUMPY\x09"), "is no .npy file"));
}
