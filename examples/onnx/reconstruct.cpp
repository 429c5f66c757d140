// Reconstructs the aortic wave with OpenVINO, which reads ONNX files.
//
//   reconstruct FOLDER wave.csv > aortic.csv
//
// FOLDER is written by `cap-jax export --to=onnx`; wave.csv has a header, then time [s] and pressure [mmHg] at 125 Hz, without gaps.
// The constants below are those of its manifest.json.
//
//   pip install openvino && OV=$(python -c "import openvino; print(openvino.__path__[0])")
//   g++ -std=c++17 -O2 reconstruct.cpp -I$OV/include -L$OV/libs -l:$(basename $OV/libs/libopenvino.so.*) -Wl,-rpath,$OV/libs -o reconstruct

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

constexpr size_t size = 500, hop = 250, margin = 31, bands = 60;
constexpr double fs_hz = 125, lowest_mmhg = 25, highest_mmhg = 250;

int reconstruct(int count, char** words) {
  if (count != 3) return std::fprintf(stderr, "usage: reconstruct FOLDER wave.csv\n"), 2;
  std::ifstream file(words[2]);
  if (!file) return std::fprintf(stderr, "%s: cannot be read\n", words[2]), 2;
  std::vector<double> time;
  std::vector<float> p;
  std::string line;
  for (std::getline(file, line); std::getline(file, line);) {
    double t, value;
    if (std::sscanf(line.c_str(), "%lf,%lf", &t, &value) != 2) return std::fprintf(stderr, "bad row: %s\n", line.c_str()), 2;
    time.push_back(t), p.push_back(value);
  }
  if (p.size() < size) return std::fprintf(stderr, "shorter than one window\n"), 2;
  const double rate_hz = (time.size() - 1) / (time.back() - time.front());
  if (!(std::abs(rate_hz / fs_hz - 1) < 0.01)) return std::fprintf(stderr, "%g Hz instead of %g\n", rate_hz, fs_hz), 2;
  std::vector<float> ordered(p);
  std::nth_element(ordered.begin(), ordered.begin() + ordered.size() / 2, ordered.end());
  const double median = ordered[ordered.size() / 2];
  if (!(median >= lowest_mmhg && median <= highest_mmhg)) return std::fprintf(stderr, "median %g: no arterial pressure in mmHg\n", median), 2;

  std::vector<size_t> starts;
  for (size_t start = 0; start + size < p.size(); start += hop) starts.push_back(start);
  starts.push_back(p.size() - size);
  ov::Tensor windows(ov::element::f32, {starts.size(), size}), record(ov::element::f32, {starts.size(), bands});
  for (size_t k = 0; k < starts.size(); ++k)
    std::copy_n(p.begin() + starts[k], size, windows.data<float>() + k * size);

  ov::Core core;
  const std::string folder = words[1];
  auto precise = ov::hint::inference_precision(ov::element::f32);
  auto power = core.compile_model(folder + "/log_power.onnx", "CPU", precise).create_infer_request();
  auto answer = core.compile_model(folder + "/answer.onnx", "CPU", precise).create_infer_request();
  power.set_tensor("peripheral", windows);
  power.infer();
  const float* bands_of = power.get_output_tensor(0).data<float>();
  for (size_t band = 0; band < bands; ++band) {
    double sum = 0;
    for (size_t k = 0; k < starts.size(); ++k) sum += bands_of[k * bands + band];
    for (size_t k = 0; k < starts.size(); ++k) record.data<float>()[k * bands + band] = sum / starts.size();
  }
  answer.set_tensor("peripheral", windows);
  answer.set_tensor("log_power", record);
  answer.infer();
  const float* aortic = answer.get_tensor("aortic").data<float>();

  std::vector<double> wave(p.size()), weights(p.size());
  for (size_t k = 0; k < starts.size(); ++k)
    for (size_t j = 0; j < size; ++j) {
      bool inner = j >= margin && j < size - margin;
      double weight = 1e-6 + (inner ? std::pow(std::sin(M_PI * (j - margin + 0.5) / (size - 2 * margin)), 2) : 0);
      wave[starts[k] + j] += weight * aortic[k * size + j];
      weights[starts[k] + j] += weight;
    }
  std::printf("time_s,aortic_root_pressure_mmhg\n");
  for (size_t j = 0; j < p.size(); ++j) std::printf("%.3f,%.3f\n", time[j], wave[j] / weights[j]);
  return 0;
}

int main(int count, char** words) {
  try {
    return reconstruct(count, words);
  } catch (const std::exception& error) {  // such as a folder without these files, or of a network that reads more
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
}
