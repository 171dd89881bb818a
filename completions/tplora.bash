# Completion for bash: source this file, or install it as .../bash-completion/completions/tplora.
_tplora() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]:-}
  local words=
  case $before in
    --model) words=$(tplora list models 2>/dev/null) ;;
    --engine | --vs) words=$(tplora list engines 2>/dev/null; tplora list bugs 2>/dev/null) ;;
    list) words="models engines bugs programs suites" ;;
    --data) words="labels integers wide" ;;
    --judge) words="bits bound exact" ;;
    --only) words="checkpoint adapters inputs ranks" ;;
    --tp | --dp | --jobs | --slots | --lora-rank | --max-lora-rank | --case) return ;;
    *)
      if [ "$COMP_CWORD" = 1 ]; then
        words="$(tplora --help 2>/dev/null | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]*\) .*/\1/p') --help --version"
      else
        words=$(tplora "$command" --help 2>/dev/null | grep -oE -- '--[a-z-]+' | sort -u)
      fi ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  # A model, an engine and a suite can also be a file.
  case $before in --model | --engine | --vs | verify | check | --out) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$word") ;; esac
}
complete -F _tplora tplora
