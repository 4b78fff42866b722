// The TCP proxy that a Go program is: io.Copy both ways (which uses splice on Linux), CloseWrite at the end.
//
//	go_copy LISTEN SERVER
package main

import (
	"io"
	"log"
	"net"
	"os"
)

func relay(to, from *net.TCPConn, done chan<- struct{}) {
	io.Copy(to, from)
	to.CloseWrite()
	done <- struct{}{}
}

func serve(client *net.TCPConn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{}, 2)
	go relay(server.(*net.TCPConn), client, done)
	go relay(client, server.(*net.TCPConn), done)
	<-done
	<-done
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(client.(*net.TCPConn), os.Args[2])
	}
}
