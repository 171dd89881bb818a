// What the public handles hold, and what several public functions start with. Not installed.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tplora/tplora.hpp"
#include "verify/case/library.hpp"
#include "verify/run/laws.hpp"

namespace tplora::core {

struct EngineData {
  LoadedEngine engine;
  std::shared_ptr<const FaultNames> names;
};

struct ReportData {
  std::vector<LayerReport> layers;  ///< one
  std::string numbers;              ///< in words; empty: none were run
};

struct GoldenData {
  std::shared_ptr<const LogicalTensors> tensors;
};

struct Access {
  static Engine make(EngineData data) {
    return Engine(std::make_shared<const EngineData>(std::move(data)));
  }
  static Report make(ReportData data) {
    return Report(std::make_shared<const ReportData>(std::move(data)));
  }
  static Golden make(GoldenData data) {
    return Golden(std::make_shared<const GoldenData>(std::move(data)));
  }
  static const EngineData& of(const Engine& engine) { return *engine.data_; }
  static const ReportData& of(const Report& report) { return *report.data_; }
};

/// The case that a Serving asks for, on a layer of no model in particular. Refused: as by `check`.
Result<PreparedCase> serving_case(const Engine& engine, const QkvGeometry& geometry,
                                  const Serving& serving);

}  // namespace tplora::core
