package syncer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cairn/chain/chaintest"
)

// A node in the background follows its neighbour within seconds, leaves one that
// fails alone more and more, and says so once.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, nil)
		n.Chain("a", chaintest.Genesis, 8, chaintest.Spec{})
		good, node := n.node(), n.node()
		bad := &counter{Handler: http.NotFoundHandler()}
		var log bytes.Buffer
		node.log = slog.New(slog.NewTextHandler(&log, nil))
		node.register(n.host("good", good.Handler()), n.host("bad", bad))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- node.Run(ctx) }()

		for i := 1; i <= 8; i++ {
			good.has(names("a", i, i)...)
			time.Sleep(7 * time.Second)
			synctest.Wait()
			node.wantTip(fmt.Sprintf("a%d", i))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		// 5, 10, 20, … 300 seconds, then every five minutes.
		if asked := bad.asked(tipPath); asked < 10 || asked > 25 {
			t.Errorf("the bad neighbour was asked %d times", asked)
		}
		bad.set(good.Handler())
		time.Sleep(6 * time.Minute)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		lines := strings.Count(log.String(), "neighbour")
		if lines != 3 { // one is fine, one fails, it is back
			t.Errorf("the log has %d lines:\n%s", lines, &log)
		}
	})
}

// Neighbours are kept, once each, up to the limit.
func TestNeighbours(t *testing.T) {
	n := newNetwork(t, nil)
	x := n.node()
	x.register("http://b", "HTTP://A/", "http://b/", "http://a")
	want := []string{"http://a", "http://b"}
	if got := x.Neighbours(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := x.syncer().Neighbours(); !slices.Equal(got, want) {
		t.Errorf("after a restart: %v", got)
	}
	for i := range maxNeighbours - 2 {
		x.register(fmt.Sprintf("http://c%d", i))
	}
	if _, err := x.AddNeighbour("http://d"); !errors.Is(err, ErrTooMany) {
		t.Errorf("one too many: %v", err)
	}
	if all, err := x.AddNeighbour("http://a/"); err != nil || len(all) != maxNeighbours {
		t.Errorf("one that is there: %d, %v", len(all), err)
	}
	if _, err := x.AddNeighbour("a"); !errors.Is(err, ErrAddress) {
		t.Error(err)
	}
	if got := x.syncer().Neighbours(); len(got) != maxNeighbours {
		t.Errorf("%d are kept", len(got))
	}
}
