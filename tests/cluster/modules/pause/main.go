// Command pause is the one process that the test cluster's own images need.
//
// Without arguments it holds a pod sandbox's (or the cluster's) namespaces open: it waits for SIGTERM or SIGINT and
// reaps the orphans that become its children. With a subcommand it is the probe that `tests/cluster/selftest` runs
// inside pods (see probe.go). It has no dependencies, so that it builds offline and its image stays small.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) == 1 {
		pause()
		return
	}
	if err := probe(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "pause %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// pause returns on SIGTERM or SIGINT. As the first process of a PID namespace it inherits orphans, and reaps them.
func pause() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		reap()
	}
}

// reap collects every child that has ended; one SIGCHLD may stand for several.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 && err != syscall.EINTR {
			return
		}
	}
}
