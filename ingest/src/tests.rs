//! Both transports as clients see them, over real connections.

mod grpc;
mod http;
mod limits;
