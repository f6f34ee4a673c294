// Command fill makes a node's data directory with a chain to measure, for
// programs beside "cairn bench": the scripts in bench/peers use it.
package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"strconv"

	"cairn/bench"
	"cairn/consensus"
	"cairn/types"
)

func main() {
	kinds := map[string]func(int) iter.Seq[*types.Block]{"ten-each": bench.TenEach, "newcomers": bench.Newcomers}
	if len(os.Args) != 4 || kinds[os.Args[1]] == nil {
		fail(fmt.Errorf("usage: fill ten-each|newcomers BLOCKS DIR"))
	}
	blocks, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fail(err)
	}
	if err := bench.Fill(context.Background(), os.Args[3], consensus.Dev(), kinds[os.Args[1]](blocks), func(int) {}); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "fill:", err)
	os.Exit(1)
}
