package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	abcicli "github.com/cometbft/cometbft/abci/client"
	"github.com/cometbft/cometbft/abci/example/kvstore"
	"github.com/cometbft/cometbft/abci/server"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/libs/service"
)

var background = context.Background()

// serve runs app behind CometBFT's own socket server.
func serve(t *testing.T, app abci.Application) (addr string, s service.Service) {
	t.Helper()
	addr = "unix://" + filepath.Join(t.TempDir(), "app.sock")
	s = server.NewSocketServer(addr, app)
	must(t, s.Start())
	t.Cleanup(func() { _ = s.Stop() })
	return addr, s
}

// connect returns a running client and the channel of what it reports as lost.
func connect(t *testing.T, addr string) (*client, chan error) {
	t.Helper()
	lost := make(chan error, 9)
	cli := newClient(clientCreator{ctx: background, addr: addr, lost: func(err error) { lost <- err }})
	must(t, cli.Start())
	t.Cleanup(func() { _ = cli.Stop() })
	return cli, lost
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal(what)
	}
}

func TestItAnswersEveryCallAsCometBFTsClientDoes(t *testing.T) {
	answers := func(cli abcicli.Client) (all []any) {
		add := func(res any, err error) { all = append(all, res, err) }
		tx := []byte("name=value")
		txs := [][]byte{tx}
		validator := abci.UpdateValidator(make([]byte, 32), 10, "")
		add(cli.Echo(background, "hello"))
		add(cli.Info(background, &abci.RequestInfo{}))
		add(cli.InitChain(background, &abci.RequestInitChain{Validators: []abci.ValidatorUpdate{validator}}))
		add(cli.CheckTx(background, &abci.RequestCheckTx{Tx: tx}))
		add(cli.CheckTx(background, &abci.RequestCheckTx{Tx: []byte("malformed")}))
		add(cli.PrepareProposal(background, &abci.RequestPrepareProposal{Txs: txs, MaxTxBytes: 1000}))
		add(cli.ProcessProposal(background, &abci.RequestProcessProposal{Txs: txs}))
		add(cli.ExtendVote(background, &abci.RequestExtendVote{}))
		add(cli.VerifyVoteExtension(background, &abci.RequestVerifyVoteExtension{}))
		add(cli.FinalizeBlock(background, &abci.RequestFinalizeBlock{Txs: txs, Height: 1}))
		add(cli.Commit(background, &abci.RequestCommit{}))
		add(cli.Query(background, &abci.RequestQuery{Data: []byte("name")}))
		add(cli.ListSnapshots(background, &abci.RequestListSnapshots{}))
		add(cli.OfferSnapshot(background, &abci.RequestOfferSnapshot{}))
		add(cli.LoadSnapshotChunk(background, &abci.RequestLoadSnapshotChunk{}))
		add(cli.ApplySnapshotChunk(background, &abci.RequestApplySnapshotChunk{}))
		add(nil, cli.Flush(background))
		return all
	}
	addr, _ := serve(t, kvstore.NewInMemoryApplication())
	ours, _ := connect(t, addr)
	addr, _ = serve(t, kvstore.NewInMemoryApplication())
	theirs := abcicli.NewSocketClient(addr, true)
	must(t, theirs.Start())
	defer func() { _ = theirs.Stop() }()

	got, want := answers(ours), answers(theirs)
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("call %d: got %v, want %v", i/2, got[i], want[i])
		}
	}
}

func TestCallbacksRunInOrderAndBeforeAFlushReturns(t *testing.T) {
	addr, _ := serve(t, kvstore.NewInMemoryApplication())
	cli, _ := connect(t, addr)
	const n = 20_000
	var all, own []string
	cli.SetResponseCallback(func(req *abci.Request, _ *abci.Response) {
		if tx := req.GetCheckTx(); tx != nil {
			all = append(all, string(tx.Tx))
		}
	})
	var late atomic.Int64
	for i := 0; i < n; i++ {
		tx := fmt.Sprintf("k%d=v", i)
		r, err := cli.CheckTxAsync(background, &abci.RequestCheckTx{Tx: []byte(tx)})
		must(t, err)
		if i%2 == 0 {
			r.SetCallback(func(*abci.Response) { late.Add(1) }) // before or after the answer
		}
	}
	within(t, "the flush returns", func() { must(t, cli.Flush(background)) })
	for i := 0; i < n; i++ {
		own = append(own, fmt.Sprintf("k%d=v", i))
	}
	if !reflect.DeepEqual(all, own) || late.Load() != n/2 {
		t.Fatalf("%d responses and %d callbacks of %d requests, or out of order", len(all), late.Load(), n)
	}
}

func TestALoneRequestIsAnsweredWithoutAFlush(t *testing.T) {
	addr, _ := serve(t, kvstore.NewInMemoryApplication())
	cli, _ := connect(t, addr)
	r, err := cli.CheckTxAsync(background, &abci.RequestCheckTx{Tx: []byte("a=b")})
	must(t, err)
	answered := make(chan *abci.Response, 1)
	r.SetCallback(func(res *abci.Response) { answered <- res })
	within(t, "a lone request is answered", func() { <-answered })
}

func TestConcurrentCallersGetTheirOwnAnswers(t *testing.T) {
	addr, _ := serve(t, kvstore.NewInMemoryApplication())
	cli, _ := connect(t, addr)
	var wg sync.WaitGroup
	for g := 0; g < 32; g++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; i < 200; i++ {
				msg := fmt.Sprint(g, "/", i)
				if res, err := cli.Echo(background, msg); err != nil || res.Message != msg {
					t.Errorf("sent %q, got %v, %v", msg, res, err)
					return
				}
			}
		}()
	}
	within(t, "all are answered", wg.Wait)
}

// stuck never answers a CheckTx.
type stuck struct{ abci.BaseApplication }

func (stuck) CheckTx(context.Context, *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	select {}
}

func TestALostConnectionReleasesEveryWaiter(t *testing.T) {
	addr, s := serve(t, stuck{})
	cli, lost := connect(t, addr)
	var wg sync.WaitGroup
	for i := 0; i < 3*queueSize; i++ { // more than the queue holds: some wait for room in it
		wg.Add(2)
		go func() {
			defer wg.Done()
			if _, err := cli.CheckTx(background, &abci.RequestCheckTx{}); err == nil {
				t.Error("an answer from nobody")
			}
		}()
		go func() {
			defer wg.Done()
			r, err := cli.CheckTxAsync(background, &abci.RequestCheckTx{})
			must(t, err)
			r.Wait()
		}()
	}
	time.Sleep(50 * time.Millisecond)
	must(t, s.Stop())
	within(t, "waiters are released", wg.Wait)
	within(t, "the client stops", cli.Wait)
	if cli.Error() == nil || len(lost) != 1 || !errors.Is(<-lost, cli.Error()) {
		t.Fatal("the cause is reported once")
	}
	within(t, "later requests are released at once", func() {
		r, err := cli.CheckTxAsync(background, &abci.RequestCheckTx{})
		must(t, err)
		r.Wait()
		if err := cli.Flush(background); err == nil {
			t.Error("flushed a lost connection")
		}
	})
}

func TestConnectionsAreIndependent(t *testing.T) {
	addr, _ := serve(t, kvstore.NewInMemoryApplication())
	one, _ := connect(t, addr)
	two, _ := connect(t, addr)
	one.conn.Close()
	within(t, "the first stops", one.Wait)
	_, err := two.Echo(background, "still here")
	must(t, err)
}

func TestAStopThatWasAskedForIsNoLoss(t *testing.T) {
	addr, _ := serve(t, stuck{})
	cli, lost := connect(t, addr)
	r, err := cli.CheckTxAsync(background, &abci.RequestCheckTx{})
	must(t, err)
	must(t, cli.Stop())
	within(t, "the waiter is released", r.Wait)
	if _, err := cli.Echo(background, ""); !errors.Is(err, errStopped) || cli.Error() != nil || len(lost) != 0 {
		t.Fatal(err, cli.Error())
	}
}

func TestConnectingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
	defer cancel()
	cli := newClient(clientCreator{ctx: ctx, addr: "unix://" + filepath.Join(t.TempDir(), "nobody.sock")})
	within(t, "the attempt ends", func() {
		if cli.Start() == nil {
			t.Error("connected to nobody")
		}
	})
}

func TestAnAnswerThatFitsNoRequestIsALoss(t *testing.T) {
	for name, answer := range map[string]*abci.Response{
		"answered Echo with CheckTx": {Value: &abci.Response_CheckTx{CheckTx: &abci.ResponseCheckTx{}}},
		"an empty message":           {},
		"out of memory":              abci.ToResponseException("out of memory"),
	} {
		path := filepath.Join(t.TempDir(), "app.sock")
		listener, err := net.Listen("unix", path)
		must(t, err)
		go func() {
			conn, err := listener.Accept()
			if err == nil {
				_ = abci.ReadMessage(conn, &abci.Request{})
				_ = abci.WriteMessage(answer, conn)
			}
		}()
		cli, lost := connect(t, "unix://"+path)
		_, err = cli.Echo(background, "hello")
		if err == nil || !contains(err.Error(), name) || len(lost) != 1 {
			t.Errorf("expected %q, got %v", name, err)
		}
		listener.Close()
	}
}
