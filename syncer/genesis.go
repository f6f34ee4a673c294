package syncer

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"cairn/consensus"
	"cairn/types"
)

// maxGenesis is the most bytes of a genesis file that are taken from a stranger:
// enough for the allocations of a hundred thousand accounts. Who joins a network
// with more is given the file.
const maxGenesis = 16 << 20

// FetchGenesis asks the node at a base URL, which carrier reaches as for SyncWith,
// for the rules of its network. They are those that want stands for, or there is
// an error, so whoever answers need not be trusted.
func FetchGenesis(ctx context.Context, carrier http.RoundTripper, address string, want types.Hash) (*consensus.Rules, error) {
	src := &source{address: address, carrier: carrier, limits: defaultLimits()}
	file, err := src.genesis(ctx)
	if err != nil {
		return nil, fmt.Errorf("genesis file from %s: %w", address, err)
	}
	rules, err := consensus.ParseGenesis(file)
	if err != nil { // of which there may be as much as of the file
		return nil, fmt.Errorf("genesis file from %s: %.300s", address, err.Error())
	}
	if got := rules.ChainID(); got != want {
		return nil, fmt.Errorf("genesis file from %s: its genesis block is %v, and %v was asked for: the node is of another network, or it lies", address, got, want)
	}
	return rules, nil
}

// genesis asks for the genesis file.
func (s *source) genesis(ctx context.Context) ([]byte, error) {
	inTime, cancel := context.WithTimeoutCause(ctx, s.limits.headers, errStall)
	defer cancel()
	a, err := s.call(inTime, genesisPath, s.limits.blockBytes)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	defer a.Close()
	file, err := io.ReadAll(io.LimitReader(a, maxGenesis+1))
	if err == nil && len(file) > maxGenesis {
		err = formatError("a genesis file of more than %d bytes; that of a network with so many accounts has to be handed over as a file", maxGenesis)
	}
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	return file, nil
}
