package main

// An ABCI client for sockets, in place of CometBFT's own.
//
// CometBFT's flushes by a timer that it arms for 20 nanoseconds, which keeps a core busy under load. This one has no
// timer: whatever waits in the queue is written at once, followed by one Flush request, when the queue runs empty.
// Servers that answer only when flushed (CometBFT's) and servers that answer at once both work.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"sync"
	"time"

	abcicli "github.com/cometbft/cometbft/abci/client"
	abci "github.com/cometbft/cometbft/abci/types"
	cmtnet "github.com/cometbft/cometbft/libs/net"
	"github.com/cometbft/cometbft/libs/protoio"
	"github.com/cometbft/cometbft/libs/service"
)

const (
	// Requests accepted before callers wait for the socket; CometBFT's own figure.
	queueSize = 256
	// One buffer holds a few hundred CheckTx requests; larger messages pass it by.
	bufferSize = 64 << 10
	// CometBFT's own limit of an ABCI message.
	maxResponseSize = 1<<31 - 1
	dialRetry       = 100 * time.Millisecond
	dialReportEvery = 30 // attempts between two log lines
)

var errStopped = errors.New("the ABCI client is stopped")

// clientCreator opens the connections of one node; each is independent of the others.
type clientCreator struct {
	ctx  context.Context // ends attempts to connect
	addr string          // unix://path or tcp://host:port
	lost func(error)     // called once for each connection that fails, before anyone is told of it
}

// NewABCIClient implements proxy.ClientCreator.
func (c clientCreator) NewABCIClient() (abcicli.Client, error) { return newClient(c), nil }

// client serializes requests onto one connection and pairs responses with them in order. Safe for concurrent use.
//
// Every request is resolved exactly once: by its response, or without one when the client has stopped.
type client struct {
	service.BaseService
	clientCreator
	conn  net.Conn
	queue chan *abcicli.ReqRes // not yet written

	mtx     sync.Mutex
	sent    []*abcicli.ReqRes // written, in order; nil marks a Flush of our own
	stopped bool              // nothing will be read or written any more
	err     error             // why, unless it was asked to stop
	resCb   abcicli.Callback
}

var _ abcicli.Client = (*client)(nil)

func newClient(c clientCreator) *client {
	cli := &client{clientCreator: c, queue: make(chan *abcicli.ReqRes, queueSize)}
	cli.BaseService = *service.NewBaseService(nil, "abciClient", cli)
	return cli
}

// OnStart connects, for as long as it takes: the application may start later than its engine.
func (cli *client) OnStart() error {
	for attempt := 0; ; attempt++ {
		conn, err := cmtnet.Connect(cli.addr)
		if err == nil {
			cli.conn = conn
			go cli.write()
			go cli.read()
			return nil
		}
		if attempt%dialReportEvery == 0 {
			cli.Logger.Error("the application does not answer; trying again", "addr", cli.addr, "err", err)
		}
		select {
		case <-time.After(dialRetry):
		case <-cli.ctx.Done():
			return fmt.Errorf("stopped before the application answered at %s: %w", cli.addr, err)
		}
	}
}

// OnStop releases everyone who waits and closes the connection, in this order: its end is then no loss.
func (cli *client) OnStop() {
	cli.release()
	cli.conn.Close()
}

// Error returns why the connection was lost, or nil.
func (cli *client) Error() error {
	cli.mtx.Lock()
	defer cli.mtx.Unlock()
	return cli.err
}

// SetResponseCallback sets what is called with every response, before the callback of its request.
func (cli *client) SetResponseCallback(cb abcicli.Callback) {
	cli.mtx.Lock()
	defer cli.mtx.Unlock()
	cli.resCb = cb
}

// fail records the first cause and stops the client.
func (cli *client) fail(err error) {
	cli.mtx.Lock()
	if cli.stopped {
		cli.mtx.Unlock()
		return
	}
	cli.stopped, cli.err = true, err
	cli.mtx.Unlock()
	cli.lost(err)
	if err := cli.Stop(); err != nil {
		cli.Logger.Error("stopping the ABCI client", "err", err)
	}
}

// release resolves whatever was sent or still waits in the queue.
func (cli *client) release() {
	cli.mtx.Lock()
	cli.stopped = true
	sent := cli.sent
	cli.sent = nil
	cli.mtx.Unlock()
	for _, r := range sent {
		if r != nil {
			r.Done()
		}
	}
	for {
		select {
		case r := <-cli.queue:
			r.Done()
		default:
			return
		}
	}
}

func (cli *client) isStopped() bool {
	cli.mtx.Lock()
	defer cli.mtx.Unlock()
	return cli.stopped
}

// track notes that r is about to be written; false when nobody would answer it.
func (cli *client) track(r *abcicli.ReqRes) bool {
	cli.mtx.Lock()
	defer cli.mtx.Unlock()
	if !cli.stopped {
		cli.sent = append(cli.sent, r)
	}
	return !cli.stopped
}

func (cli *client) write() {
	buf := bufio.NewWriterSize(cli.conn, bufferSize)
	messages := protoio.NewDelimitedWriter(buf)
	flush := abci.ToRequestFlush()
	for {
		var r *abcicli.ReqRes
		select {
		case r = <-cli.queue:
		case <-cli.Quit():
			return
		}
		// Tracked first: the response may arrive before the call that writes returns.
		if !cli.track(r) {
			r.Done()
			return
		}
		_, err := messages.WriteMsg(r.Request)
		_, flushes := r.Request.Value.(*abci.Request_Flush)
		if err == nil && !flushes && len(cli.queue) == 0 {
			if !cli.track(nil) {
				return
			}
			flushes = true
			_, err = messages.WriteMsg(flush)
		}
		if err == nil && flushes {
			err = buf.Flush()
		}
		if err != nil {
			cli.fail(fmt.Errorf("writing to the application: %w", err))
			return
		}
	}
}

func (cli *client) read() {
	messages := protoio.NewDelimitedReader(bufio.NewReaderSize(cli.conn, bufferSize), maxResponseSize)
	for {
		res := &abci.Response{}
		if _, err := messages.ReadMsg(res); err != nil {
			cli.fail(fmt.Errorf("reading from the application: %w", err))
			return
		}
		if err := cli.resolve(res); err != nil {
			cli.fail(err)
			return
		}
	}
}

// resolve gives res to the oldest request. Callbacks run here, one after the other, so that a Flush returns only when
// those of all earlier requests have: the mempool relies on it.
func (cli *client) resolve(res *abci.Response) error {
	if e, ok := res.Value.(*abci.Response_Exception); ok {
		return fmt.Errorf("the application failed: %s", e.Exception.Error)
	}
	cli.mtx.Lock()
	if cli.stopped {
		cli.mtx.Unlock()
		return errStopped
	}
	if len(cli.sent) == 0 {
		cli.mtx.Unlock()
		return fmt.Errorf("the application sent %s without a request", kind(res.Value))
	}
	r := cli.sent[0]
	want := "Flush"
	if r != nil {
		want = kind(r.Request.Value)
	}
	if got := kind(res.Value); got != want {
		cli.mtx.Unlock()
		return fmt.Errorf("the application answered %s with %s", want, got)
	}
	cli.sent[0] = nil
	cli.sent = cli.sent[1:]
	resCb := cli.resCb
	cli.mtx.Unlock()

	if r == nil {
		return nil
	}
	r.Response = res
	r.Done()
	if resCb != nil {
		resCb(r.Request, res)
	}
	r.InvokeCallback()
	return nil
}

// kinds names what a request or response is about: "CheckTx" for Request_CheckTx and Response_CheckTx.
var kinds = func() map[reflect.Type]string {
	kinds := map[reflect.Type]string{}
	for _, value := range append((*abci.Request)(nil).XXX_OneofWrappers(), (*abci.Response)(nil).XXX_OneofWrappers()...) {
		t := reflect.TypeOf(value)
		_, kinds[t], _ = strings.Cut(t.Elem().Name(), "_")
	}
	return kinds
}()

func kind(value any) string {
	if value == nil {
		return "an empty message"
	}
	return kinds[reflect.TypeOf(value)]
}

// enqueue hands req to the writer. It fails only when ctx ends first; a client that has stopped resolves it at once.
func (cli *client) enqueue(ctx context.Context, req *abci.Request) (*abcicli.ReqRes, error) {
	r := abcicli.NewReqRes(req)
	select {
	case cli.queue <- r:
		if cli.isStopped() { // and perhaps nobody reads the queue any more
			cli.release()
		}
	case <-cli.Quit():
		r.Done()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return r, nil
}

// call waits for the response to req.
func (cli *client) call(ctx context.Context, req *abci.Request) (*abci.Response, error) {
	r, err := cli.enqueue(ctx, req)
	if err != nil {
		return nil, err
	}
	r.Wait()
	if r.Response != nil {
		return r.Response, nil
	}
	if err := cli.Error(); err != nil {
		return nil, err
	}
	return nil, errStopped
}

// CheckTxAsync does not wait. Once the client has stopped, the request is resolved without a response and its
// callback is never called: CometBFT takes an error here for a bug of its own and panics.
func (cli *client) CheckTxAsync(ctx context.Context, req *abci.RequestCheckTx) (*abcicli.ReqRes, error) {
	return cli.enqueue(ctx, abci.ToRequestCheckTx(req))
}

// Flush returns when everything that was asked before has been answered.
func (cli *client) Flush(ctx context.Context) error {
	_, err := cli.call(ctx, abci.ToRequestFlush())
	return err
}

func (cli *client) Echo(ctx context.Context, msg string) (*abci.ResponseEcho, error) {
	res, err := cli.call(ctx, abci.ToRequestEcho(msg))
	return res.GetEcho(), err
}

func (cli *client) Info(ctx context.Context, req *abci.RequestInfo) (*abci.ResponseInfo, error) {
	res, err := cli.call(ctx, abci.ToRequestInfo(req))
	return res.GetInfo(), err
}

func (cli *client) Query(ctx context.Context, req *abci.RequestQuery) (*abci.ResponseQuery, error) {
	res, err := cli.call(ctx, abci.ToRequestQuery(req))
	return res.GetQuery(), err
}

func (cli *client) CheckTx(ctx context.Context, req *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	res, err := cli.call(ctx, abci.ToRequestCheckTx(req))
	return res.GetCheckTx(), err
}

func (cli *client) InitChain(ctx context.Context, req *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	res, err := cli.call(ctx, abci.ToRequestInitChain(req))
	return res.GetInitChain(), err
}

func (cli *client) PrepareProposal(ctx context.Context, req *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	res, err := cli.call(ctx, abci.ToRequestPrepareProposal(req))
	return res.GetPrepareProposal(), err
}

func (cli *client) ProcessProposal(ctx context.Context, req *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	res, err := cli.call(ctx, abci.ToRequestProcessProposal(req))
	return res.GetProcessProposal(), err
}

func (cli *client) ExtendVote(ctx context.Context, req *abci.RequestExtendVote) (*abci.ResponseExtendVote, error) {
	res, err := cli.call(ctx, abci.ToRequestExtendVote(req))
	return res.GetExtendVote(), err
}

func (cli *client) VerifyVoteExtension(ctx context.Context, req *abci.RequestVerifyVoteExtension) (*abci.ResponseVerifyVoteExtension, error) {
	res, err := cli.call(ctx, abci.ToRequestVerifyVoteExtension(req))
	return res.GetVerifyVoteExtension(), err
}

func (cli *client) FinalizeBlock(ctx context.Context, req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	res, err := cli.call(ctx, abci.ToRequestFinalizeBlock(req))
	return res.GetFinalizeBlock(), err
}

func (cli *client) Commit(ctx context.Context, _ *abci.RequestCommit) (*abci.ResponseCommit, error) {
	res, err := cli.call(ctx, abci.ToRequestCommit())
	return res.GetCommit(), err
}

func (cli *client) ListSnapshots(ctx context.Context, req *abci.RequestListSnapshots) (*abci.ResponseListSnapshots, error) {
	res, err := cli.call(ctx, abci.ToRequestListSnapshots(req))
	return res.GetListSnapshots(), err
}

func (cli *client) OfferSnapshot(ctx context.Context, req *abci.RequestOfferSnapshot) (*abci.ResponseOfferSnapshot, error) {
	res, err := cli.call(ctx, abci.ToRequestOfferSnapshot(req))
	return res.GetOfferSnapshot(), err
}

func (cli *client) LoadSnapshotChunk(ctx context.Context, req *abci.RequestLoadSnapshotChunk) (*abci.ResponseLoadSnapshotChunk, error) {
	res, err := cli.call(ctx, abci.ToRequestLoadSnapshotChunk(req))
	return res.GetLoadSnapshotChunk(), err
}

func (cli *client) ApplySnapshotChunk(ctx context.Context, req *abci.RequestApplySnapshotChunk) (*abci.ResponseApplySnapshotChunk, error) {
	res, err := cli.call(ctx, abci.ToRequestApplySnapshotChunk(req))
	return res.GetApplySnapshotChunk(), err
}
