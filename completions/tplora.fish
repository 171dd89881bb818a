# Completion for fish: a file of ~/.config/fish/completions or vendor_completions.d. Names come from
# files: fish quotes what it inserts, and nothing is expanded.
function __tplora_options
    set -l words (commandline -opc)
    test (count $words) -ge 2
    and command tplora $words[2] --help 2>/dev/null | string match -ra -- '--[a-z][a-z-]*' | sort -u
end
function __tplora_commands
    command tplora --help 2>/dev/null | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]*\) .*/\1/p'
end
complete -c tplora -n __fish_use_subcommand -f -a '(__tplora_commands) --help --version'
complete -c tplora -n 'not __fish_use_subcommand; and string match -q -- "-*" (commandline -ct)' -f -a '(__tplora_options)'
complete -c tplora -n '__fish_seen_subcommand_from verify' -a '(command tplora list suites 2>/dev/null)'
complete -c tplora -n '__fish_seen_subcommand_from list' -f -a 'models engines bugs programs suites'
for option in model models
    complete -c tplora -l $option -r -a '(command tplora list models 2>/dev/null)'
end
for option in engine engines vs
    complete -c tplora -l $option -r -a '(command tplora list engines 2>/dev/null; command tplora list bugs 2>/dev/null)'
end
complete -c tplora -l data -x -a 'labels integers wide'
complete -c tplora -l judge -x -a 'bits bound exact'
complete -c tplora -l only -x -a 'checkpoint adapters inputs ranks'
for option in tp dp jobs timeout case-timeout memory numbers dtype targets slots shard lora-rank max-lora-rank case
    complete -c tplora -l $option -x
end
for option in base adapter out report resume junit sarif markdown html
    complete -c tplora -l $option -r
end
