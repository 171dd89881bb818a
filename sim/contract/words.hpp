// The closed lists of words of a contract file, each word with its meaning. Mutants try the others
// of a list in this order.
#pragma once

#include <array>

#include "sim/base/word.hpp"
#include "sim/contract/contract.hpp"

namespace tplora::core::words {

/// In the order of the enumerators, the parts first.
inline constexpr std::array<Word<Source>, 5> kSource = {{{"q", Source::q},
                                                         {"k", Source::k},
                                                         {"v", Source::v},
                                                         {"fused", Source::fused},
                                                         {"shared", Source::shared}}};
inline constexpr std::array<Word<FusedOrder>, 3> kOrder = {
    {{"blocks", FusedOrder::blocks},
     {"per_group", FusedOrder::per_group},
     {"per_group_halves", FusedOrder::per_group_halves}}};
inline constexpr std::array<Word<FusedBy>, 2> kFusedBy = {
    {{"engine", FusedBy::engine}, {"checkpoint", FusedBy::checkpoint}}};
inline constexpr std::array<Word<PastEnd>, 3> kPastEnd = {
    {{"clip", PastEnd::clip}, {"error", PastEnd::error}, {"zero", PastEnd::zero}}};
inline constexpr std::array<Word<Fit>, 2> kFit = {{{"exact", Fit::exact}, {"corner", Fit::corner}}};
inline constexpr std::array<Word<Gather>, 2> kGather = {
    {{"none", Gather::none}, {"tp", Gather::tp}}};
inline constexpr std::array<Word<ViewGather>, 2> kViewGather = {
    {{"none", ViewGather::none}, {"all", ViewGather::all}}};

inline constexpr std::array<Word<PoolFresh>, 2> kFresh = {
    {{"nothing", PoolFresh::nothing}, {"zero", PoolFresh::zero}}};
inline constexpr std::array<Word<PoolClear>, 3> kClear = {
    {{"nothing", PoolClear::nothing}, {"tail", PoolClear::tail}, {"slot", PoolClear::slot}}};
inline constexpr std::array<Word<PoolAbsent>, 2> kAbsent = {
    {{"zero", PoolAbsent::zero}, {"keep", PoolAbsent::keep}}};
inline constexpr std::array<Word<PoolCut>, 2> kCut = {
    {{"copy", PoolCut::copy}, {"in_place", PoolCut::in_place}}};
inline constexpr std::array<Word<PoolScale>, 3> kScale = {
    {{"table", PoolScale::table}, {"slot", PoolScale::slot}, {"cache", PoolScale::cache}}};
inline constexpr std::array<Word<PoolLookup>, 2> kLookup = {
    {{"current", PoolLookup::current}, {"first", PoolLookup::first}}};
inline constexpr std::array<Word<PoolEvict>, 2> kEvict = {
    {{"lru", PoolEvict::lru}, {"fifo", PoolEvict::fifo}}};
inline constexpr std::array<Word<PoolBase>, 2> kBase = {
    {{"none", PoolBase::none}, {"slot", PoolBase::slot}}};

inline constexpr std::array<Word<Check::Else>, 2> kElse = {
    {{"refused", Check::Else::refused}, {"crash", Check::Else::crash}}};
inline constexpr std::array<Word<Check::When>, 2> kWhen = {
    {{"build", Check::When::build}, {"load", Check::When::load}}};

}  // namespace tplora::core::words
