#include "verify/report/json_report.hpp"

#include "sim/base/json.hpp"
#include "sim/layout/prover.hpp"
#include "verify/report/finding_text.hpp"
#include "verify/report/pieces.hpp"

namespace tplora::core {
namespace {

Json piece_json(const DescribedPiece& piece) {
  Json holds = Json::array();
  for (const HeldRows& rows : piece.holds) {
    holds.push_back(
        {{"part", rows.part}, {"head", rows.head}, {"from", rows.from}, {"rows", rows.rows}});
  }
  return {{"part", piece.part},       {"buffer", piece.buffer}, {"to", piece.to},
          {"from", piece.from},       {"rows", piece.rows},     {"wanted_rows", piece.wanted_rows},
          {"holds", std::move(holds)}};
}

Json pieces_json(const std::vector<DescribedPiece>& pieces) {
  Json list = Json::array();
  for (const DescribedPiece& piece : pieces) {
    list.push_back(piece_json(piece));
  }
  return list;
}

Json rank_json(const DescribedRank& rank) {
  return {{"tp_rank", rank.tp_rank},
          {"weight", {{"pieces", pieces_json(rank.weight)}}},
          {"lora_b",
           {{"buffer_rows", rank.b_buffer_rows},
            {"slice_rows", rank.b_slice_rows},
            {"pieces", pieces_json(rank.b)}}},
          {"lora_a", {{"pieces", pieces_json(rank.a)}}}};
}

Json finding_json(const Finding& finding, const std::string& case_line) {
  Json json = {
      {"law", law_name(finding.law)}, {"tp_rank", finding.tp_rank}, {"message", message(finding)}};
  if (finding.part) {
    json["part"] = part_name(*finding.part);
    json["first_head"] = finding.heads->first;
    json["last_head"] = finding.heads->last;
    json["first_row"] = finding.rows->first;
    json["last_row"] = finding.rows->last;
  }
  if (finding.columns) {
    json["first_column"] = finding.columns->first;
    json["last_column"] = finding.columns->last;
  }
  if (finding.consequence) {
    json["consequence"] = true;
  }
  if (finding.delta) {
    json["adapter"] = finding.adapter();
    json["slot"] = finding.delta->slot;
  }
  if (finding.is_about_rows()) {
    json["expected"] = expected_text(finding);
    json["found"] = found_text(finding);
  }
  json["cause"] = cause_text(finding);
  json["place"] = finding.cause_place.text();
  if (finding.together_with) {
    json["and"] = finding.together_with->text();
  }
  for (const Place& place : finding.other_places) {
    json["or"].push_back(place.text());
  }
  json["case"] = case_line;
  return json;
}

Json checkpoint_json(const CheckpointForm& form) {
  return {{"tensors", form.tensors},
          {"fusion", fusion_name(form.fusion)},
          {"order", row_order_name(form.order)},
          {"gate", gate_layout_name(form.gate)},
          {"transposed", form.transposed}};
}

Verdict verdict_of_layer(const LayerReport& layer) {
  return layer.item.geometry ? layer.analysis.verdict : Verdict::not_applicable;
}

}  // namespace

std::string layout_json(const std::vector<LayerReport>& layers, std::size_t shown) {
  const LayerReport& main = layers[shown];
  Json json = {{"format", "tplora-layout/1"},
               {"model", main.item.spec.model},
               {"engine", main.item.spec.engine},
               {"tp_size", main.item.spec.tp_size},
               {"verdict", verdict_name(verdict_of_layer(main))},
               {"shape_check", main.analysis.shape_check ? "pass" : "fail"}};
  const std::string line = print_case(main.item.spec);
  if (main.item.geometry) {
    json["checkpoint"] = checkpoint_json(main.item.checkpoint);
  }
  Json findings = Json::array();
  for (const Finding& finding : main.findings) {
    findings.push_back(finding_json(finding, line));
  }
  json["variant"] = main.item.contract->variant;
  json["findings"] = std::move(findings);
  json["same_as"] = main.same_as;
  Json ranks = Json::array();
  if (verdict_of_layer(main) != Verdict::refused) {
    for (const RankState& rank : main.analysis.ranks) {
      ranks.push_back(rank_json(describe_rank(main.item, rank)));
    }
  }
  json["ranks"] = std::move(ranks);
  Json kinds = Json::array();
  for (const LayerReport& layer : layers) {
    kinds.push_back({{"kind", layer.item.kind},
                     {"indices", layer.item.layers},
                     {"verdict", verdict_name(verdict_of_layer(layer))},
                     {"claimed", claimed(layer.item)}});
  }
  json["layers"] = std::move(kinds);
  return json.dump(2);
}

}  // namespace tplora::core
