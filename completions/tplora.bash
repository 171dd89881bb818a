# Completion for bash: source this file, or install it as .../bash-completion/completions/tplora.
# Names come from files: they are compared and quoted, and never expanded.
_tplora() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]:-}
  local -a words=() found=()
  local one
  case $before in
    --model | --models) mapfile -t words < <(tplora list models 2>/dev/null) ;;
    --engine | --engines | --vs) mapfile -t words < <(tplora list engines 2>/dev/null; tplora list bugs 2>/dev/null) ;;
    verify) mapfile -t words < <(tplora list suites 2>/dev/null) ;;
    list) words=(models engines bugs programs suites) ;;
    --data) words=(labels integers wide) ;;
    --judge) words=(bits bound exact) ;;
    --only) words=(checkpoint adapters inputs ranks) ;;
    --tp | --dp | --jobs | --timeout | --case-timeout | --memory | --numbers | --dtype | --targets | --slots | --shard | --lora-rank | --max-lora-rank | --case) return ;;
    *)
      if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t words < <(tplora --help 2>/dev/null | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
        words+=(--help --version)
      else
        mapfile -t words < <(tplora "$command" --help 2>/dev/null | grep -oE -- '--[a-z-]+' | sort -u)
      fi ;;
  esac
  COMPREPLY=()
  for one in "${words[@]}"; do
    if [[ $one == "$word"* ]]; then
      printf -v one %q "$one"
      COMPREPLY+=("$one")
    fi
  done
  # A model, an engine and a suite can also be a file.
  case $before in --model | --models | --engine | --engines | --vs | verify | merge | --report | --resume | --junit | --sarif | --markdown | --html | check | --out | --base | --adapter)
    mapfile -t found < <(compgen -f -- "$word")
    for one in "${found[@]}"; do
      printf -v one %q "$one"
      COMPREPLY+=("$one")
    done ;;
  esac
}
complete -F _tplora tplora
