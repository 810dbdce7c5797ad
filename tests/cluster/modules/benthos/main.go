// Command benthos is the core of Benthos (MIT), with the components that need nothing else: somebody else's program that the worker's benchmark gives the
// same job as the worker. It is Benthos' own command line with fewer plugins.
//
// The benchmark's figures go to standard output, so what this one has to say goes to standard error.
package main

import (
	"context"
	"os"
	// For times in the shop's zone on machines that have no database of zones.
	_ "time/tzdata"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
)

func main() {
	os.Stdout = os.Stderr
	service.RunCLI(context.Background())
}
