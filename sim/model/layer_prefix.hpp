// Where a checkpoint's tensors of one layer are named from.
#pragma once

#include <string_view>

namespace tplora::core {

/// What stands before the layer's number in the tensor names of a published checkpoint of this
/// (whole config's) model_type and class: "model.layers.", "transformer.h.". Of a config around a
/// decoder's config the form in which the Hugging Face library (5.24) saves it.
[[nodiscard]] std::string_view layer_prefix(std::string_view model_type,
                                            std::string_view architecture);

}  // namespace tplora::core
