# SPDX-License-Identifier: Apache-2.0
# How other languages start and await processes.
erl -noshell -eval 'io:format("~s", [os:cmd("echo erl")]), P = spawn(fun() -> receive X -> io:format("~p~n", [X]) end end), P ! hello, timer:sleep(300), halt(0).'
Rscript -e 'print(system("echo R", intern=TRUE)); library(parallel); print(unlist(mclapply(1:4, function(i) i^2, mc.cores=2)))'
perl -e 'for (1..5) { my $p = fork; exit $_ if !$p } my $s = 0; while ((my $p = wait) > 0) { $s += $? >> 8 } print "$s\n", `echo perl`; open(F, "-|", "seq 2"); print <F>'
ruby -e 'p `echo ruby`; p Process.wait2(fork { exit 3 })[1].exitstatus; require "open3"; p Open3.capture3("cat", stdin_data: "q")[0]'
php -r 'echo shell_exec("echo php"); $p = proc_open(["cat"], [["pipe","r"],["pipe","w"]], $h); fwrite($h[0], "x"); fclose($h[0]); echo stream_get_contents($h[1]), proc_close($p), "\n";'
echo 'puts [exec echo tcl | cat]; set f [open "|cat" r+]; puts $f hi; flush $f; puts [gets $f]; exit' | tclsh
# prints:
# erl
# hello
# [1] "R"
# [1]  1  4  9 16
# 15
# perl
# 1
# 2
# "ruby\n"
# 3
# "q"
# php
# x0
# tcl
# hi
