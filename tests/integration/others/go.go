// A near or a far end with Go's net/http (README.md). It passes on ends and resets as well as that library lets it.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
)

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func read(paths []string) (*x509.CertPool, []tls.Certificate) {
	pem, err := os.ReadFile(paths[0])
	must(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	pair, err := tls.LoadX509KeyPair(paths[1], paths[2])
	must(err)
	return pool, []tls.Certificate{pair}
}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	return listener
}

func reset(connection *net.TCPConn) {
	connection.SetLinger(0)
	connection.Close()
}

func near(port, authority string, paths []string) {
	pool, certificates := read(paths)
	transport := &http.Transport{
		ForceAttemptHTTP2:  true,
		DisableCompression: true,
		TLSClientConfig:    &tls.Config{RootCAs: pool, Certificates: certificates, ServerName: "far.test"},
	}
	listener := listen()
	for {
		accepted, err := listener.Accept()
		must(err)
		go func() {
			connection := accepted.(*net.TCPConn)
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			request := (&http.Request{
				Method: "CONNECT",
				URL:    &url.URL{Scheme: "https", Host: "127.0.0.1:" + port},
				Host:   authority,
				Header: http.Header{},
				Body:   &watched{connection, ended, sync.Once{}},
			}).WithContext(ctx)
			response, err := transport.RoundTrip(request)
			if err != nil || response.StatusCode != 200 {
				fmt.Println("answer", err)
				cancel()
				reset(connection)
				return
			}
			if _, err = io.Copy(connection, response.Body); err == nil {
				connection.CloseWrite()
				err = <-ended
			}
			if err != nil {
				cancel()
				reset(connection)
			} else {
				connection.Close()
			}
		}()
	}
}

// The body of a request: an error of Read aborts the stream. Tells how it ended.
type watched struct {
	connection *net.TCPConn
	ended      chan error
	once       sync.Once
}

func (w *watched) Read(into []byte) (int, error) {
	count, err := w.connection.Read(into)
	if err == io.EOF {
		w.once.Do(func() { w.ended <- nil })
	} else if err != nil {
		w.once.Do(func() { w.ended <- err })
	}
	return count, err
}

// The transport needs it no more: the stream was reset, if this comes before its end.
func (w *watched) Close() error {
	w.once.Do(func() { w.ended <- io.ErrClosedPipe })
	return nil
}

type flushed struct{ http.ResponseWriter }

func (f flushed) Write(bytes []byte) (int, error) {
	count, err := f.ResponseWriter.Write(bytes)
	f.ResponseWriter.(http.Flusher).Flush()
	return count, err
}

func serve(w http.ResponseWriter, r *http.Request) {
	dialed, err := net.Dial("tcp", r.Host)
	if r.Method != "CONNECT" || err != nil {
		w.WriteHeader(502)
		return
	}
	connection := dialed.(*net.TCPConn)
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	// Tells of a RST_STREAM, also when the request has ended.
	go func() {
		<-r.Context().Done()
		reset(connection)
	}()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(connection, r.Body)
		if err == nil {
			connection.CloseWrite()
		} else {
			reset(connection)
		}
		sent <- err
	}()
	_, err = io.Copy(flushed{w}, connection)
	// The end of the answer is sent when this function returns, and not before; the request is cut then.
	if err != nil {
		reset(connection)
		panic(http.ErrAbortHandler)
	}
	if err = <-sent; err != nil {
		panic(http.ErrAbortHandler)
	}
	connection.Close()
}

func far(paths []string) {
	pool, certificates := read(paths)
	server := &http.Server{
		Handler: http.HandlerFunc(serve),
		TLSConfig: &tls.Config{
			Certificates: certificates, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		},
	}
	must(server.ServeTLS(listen(), "", ""))
}

func main() {
	if os.Args[1] == "near" {
		near(os.Args[2], os.Args[3], os.Args[4:])
	} else {
		far(os.Args[2:])
	}
}
