package main

// The subcommands that selftest runs inside pods: a server that answers, and checks that fail loudly.

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// greeting is what `serve` writes to each caller and `connect` expects.
	greeting = "hello from the cluster\n"
	// patience bounds each check; Service rules and DNS records lag their objects by a moment.
	patience = 20 * time.Second
	// attemptTimeout bounds one look-up or one connection within a check.
	attemptTimeout = 2 * time.Second
	// attemptPause is the time between two attempts of a check.
	attemptPause = 100 * time.Millisecond
)

// probe runs one subcommand; its error says what did not hold.
func probe(name string, arguments []string) error {
	checks := map[string]func(string) error{
		"serve":   serve,
		"resolve": resolve,
		"connect": connect,
		"write":   write,
		"owner":   owner,
	}
	check, known := checks[name]
	if !known || len(arguments) != 1 {
		return fmt.Errorf("usage: pause [serve ADDRESS | resolve NAME | connect HOST:PORT | write DIRECTORY | owner UID:GID]")
	}
	return check(arguments[0])
}

// serve greets every connection to address until the process is ended.
func serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			_, _ = io.WriteString(connection, greeting)
		}()
	}
}

// resolve succeeds once name has an address.
func resolve(name string) error {
	return eventually(func(ctx context.Context) error {
		addresses, err := net.DefaultResolver.LookupHost(ctx, name)
		if err == nil {
			fmt.Printf("resolved %s to %v\n", name, addresses)
		}
		return err
	})
}

// connect succeeds once address (HOST:PORT) answers with the greeting.
func connect(address string) error {
	return eventually(func(ctx context.Context) error {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		defer connection.Close()
		deadline, _ := ctx.Deadline()
		if err := connection.SetDeadline(deadline); err != nil {
			return err
		}
		answer, err := io.ReadAll(connection)
		if err != nil {
			return err
		}
		if string(answer) != greeting {
			return fmt.Errorf("%s answered %q instead of %q", address, answer, greeting)
		}
		fmt.Printf("connected to %s\n", address)
		return nil
	})
}

// write proves that directory can be written: a file goes there, is synced and is read again.
func write(directory string) error {
	path := filepath.Join(directory, "written-by-probe")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.WriteString(file, greeting); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(content) != greeting {
		return fmt.Errorf("%s holds %q instead of %q", path, content, greeting)
	}
	fmt.Printf("wrote %s\n", path)
	return nil
}

// owner checks the ids that this process runs as.
func owner(want string) error {
	have := fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	if have != want {
		return fmt.Errorf("this process runs as %s instead of %s", have, want)
	}
	fmt.Printf("runs as %s\n", have)
	return nil
}

// eventually repeats attempt until it succeeds or patience is over, and then returns its last error.
func eventually(attempt func(context.Context) error) error {
	deadline := time.Now().Add(patience)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
		err := attempt(ctx)
		cancel()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(attemptPause)
	}
}
