//! Puts a draft together: defaults and rules that involve several lines.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use kernel::ensemble::{HostPort, NUMBER_MAX, ServerRole, ServerSpec};

use super::addresses::{own_line, resolve};
use super::draft::Draft;
use super::error::{ConfigError, Problem};
use super::located::Located;
use super::peer_tls::peer_tls;
use super::related_limits::related_limits;
use super::secure::secure;
use super::types::{Config, ticks_ms};
use crate::env::fs;

/// Schemes that a connection can authenticate with.
const AUTH_SCHEMES: [&str; 3] = ["digest", "ip", "x509"];

/// The valid configuration that the lines of `file` amount to.
pub(super) fn finish(mut draft: Draft, file: &Path) -> Result<Config, ConfigError> {
    data(&mut draft, file)?;
    sessions(&mut draft, file)?;
    ensemble(&mut draft, file)?;
    peer_tls(&mut draft, file)?;
    secure(&mut draft, file)?;
    clients(&mut draft, file)?;
    auth(&mut draft, file)?;
    addresses(&mut draft, file)?;
    related_limits(&mut draft);
    draft.config.apply(&draft.overrides);
    if draft.config.features.read_only_mode {
        draft.config.words.allow_isro();
    }
    draft.config.notices.sort_by_key(|notice| notice.line);
    draft.config.warnings.sort_by_key(|warning| warning.line);
    Ok(draft.config)
}

fn data(draft: &mut Draft, file: &Path) -> Result<(), ConfigError> {
    let missing = || ConfigError::Missing {
        file: file.to_owned(),
        key: "dataDir",
        example: "dataDir=/var/lib/zookeeper",
    };
    if draft.overrides.data_dir.is_some() {
        draft.config.apply(&draft.overrides);
        return Ok(());
    }
    let dir = PathBuf::from(draft.data_dir.clone().ok_or_else(missing)?);
    draft.config.data.log_dir =
        draft.data_log_dir.as_ref().map_or_else(|| dir.clone(), PathBuf::from);
    draft.config.data.dir = dir;
    Ok(())
}

fn sessions(draft: &mut Draft, file: &Path) -> Result<(), ConfigError> {
    let sessions = &mut draft.config.sessions;
    let tick_ms = sessions.tick_time_ms;
    let (min, max) = (&draft.min_session_timeout_ms, &draft.max_session_timeout_ms);
    let min_ms = min.as_ref().map_or_else(|| ticks_ms(tick_ms, 2), |min| min.value);
    let max_ms = max.as_ref().map_or_else(|| ticks_ms(tick_ms, 20), |max| max.value);
    if min_ms > max_ms {
        let (line, key, problem) = match (min, max) {
            (None, Some(max)) => {
                let problem = format!("{max_ms} ms is less than minSessionTimeout, {min_ms} ms");
                (max.line, "maxSessionTimeout", problem)
            }
            (min, _) => {
                let problem = format!("{min_ms} ms is more than maxSessionTimeout, {max_ms} ms");
                (min.as_ref().map_or(0, |min| min.line), "minSessionTimeout", problem)
            }
        };
        return Err(Problem::value(problem).at(file, line, key));
    }
    (sessions.min_timeout_ms, sessions.max_timeout_ms) = (min_ms, max_ms);
    Ok(())
}

fn ensemble(draft: &mut Draft, file: &Path) -> Result<(), ConfigError> {
    let file = draft.servers_file.as_deref().unwrap_or(file);
    draft.servers.sort_by_key(|server| server.value.id);
    let at = |server: &Located<ServerSpec>, problem: Problem| {
        problem.at(file, server.line, &format!("server.{}", server.value.id))
    };
    let own_id = my_id(&draft.config.data.dir)?;
    let only_id = draft.servers.first().map(|server| server.value.id);
    let alone = draft.config.ensemble.standalone_enabled && draft.servers.len() == 1;
    if let Some(first) = draft.servers.first().filter(|_| !alone) {
        distributed(draft, own_id).map_err(|problem| at(first, problem))?;
    }
    let ensemble = &mut draft.config.ensemble;
    let clocks = [ensemble.heartbeat_ms, ensemble.election_min_ms, ensemble.election_max_ms];
    if !clocks.windows(2).all(|pair| pair[0] < pair[1]) {
        let [heartbeat, min, max] = clocks;
        let problem = format!(
            "raft.heartbeatMs ({heartbeat}), raft.electionTimeoutMinMs ({min}) and \
             raft.electionTimeoutMaxMs ({max}) must be in this order, each more than the one before"
        );
        return Err(Problem::value(problem).at(
            file,
            draft.clocks_line,
            "raft.electionTimeoutMaxMs",
        ));
    }
    ensemble.my_id = own_id.or(only_id);
    ensemble.servers = draft.servers.iter().map(|server| server.value.clone()).collect();
    if !ensemble.standalone_enabled && ensemble.servers.is_empty() {
        let problem = "it is false, so at least one line server.N is needed";
        return Err(Problem::value(problem).at(file, draft.standalone_line, "standaloneEnabled"));
    }
    Ok(())
}

/// What holds for a server of an ensemble.
fn distributed(draft: &Draft, own_id: Option<u64>) -> Result<(), Problem> {
    let listed = |id| draft.servers.iter().any(|server| server.value.id == id);
    let dir = draft.config.data.dir.display();
    match own_id {
        None => Err(Problem::value(format!(
            "this server belongs to an ensemble, but no file {dir}/myid says which of its servers it \
             is: write its number into that file"
        ))),
        Some(id) if !listed(id) => Err(Problem::value(format!(
            "{dir}/myid says that this is server {id}, for which there is no line server.{id}"
        ))),
        Some(_) if draft.servers.iter().all(|s| s.value.role == ServerRole::Observer) => {
            Err(Problem::value("all servers are observers: somebody has to vote"))
        }
        Some(_) if draft.config.ensemble.sync_limit_ticks == 0 => {
            Err(Problem::value("a server of an ensemble needs the key syncLimit"))
        }
        Some(_) if draft.config.ensemble.init_limit_ticks == 0 => {
            Err(Problem::value("a server of an ensemble needs the key initLimit"))
        }
        Some(_) => Ok(()),
    }
}

/// The number in `dataDir/myid`, if there is such a file.
fn my_id(data_dir: &Path) -> Result<Option<u64>, ConfigError> {
    let file = data_dir.join("myid");
    let wrong = |problem: String| ConfigError::MyId { file: file.clone(), problem };
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(format!("cannot read the server number: {error}"))),
    };
    let first = text.lines().next().unwrap_or_default().trim();
    match first.parse::<u64>() {
        Ok(id) if id <= NUMBER_MAX => Ok(Some(id)),
        Ok(_) | Err(_) => Err(wrong(format!(
            "the first line must be the number of this server, 0 to {NUMBER_MAX}, found \"{first}\""
        ))),
    }
}

fn clients(draft: &mut Draft, file: &Path) -> Result<(), ConfigError> {
    if draft.overrides.client_addr.is_some() {
        return Ok(());
    }
    let my_id = draft.config.ensemble.number();
    let listed = own_line(draft).and_then(|s| Some((s.line, s.value.client.as_ref()?)));
    let port = draft.client_port.clone();
    let addr = match (port, listed) {
        (Some(port), Some((line, HostPort { port: other, .. }))) if port.value != *other => {
            let problem = format!("its client port {other} is not the clientPort {}", port.value);
            return Err(Problem::value(problem).at(file, line, &format!("server.{my_id}")));
        }
        (_, Some((line, HostPort { host, port }))) => {
            resolve(host, *port).map_err(|p| p.at(file, line, &format!("server.{my_id}")))?
        }
        (Some(port), None) => match &draft.client_host {
            Some(host) => resolve(&host.value, port.value)
                .map_err(|p| p.at(file, host.line, "clientPortAddress"))?,
            None => SocketAddr::new(draft.config.clients.addr.ip(), port.value),
        },
        (None, None) => {
            let secure = draft.config.clients.secure.as_ref();
            let Some(addr) = secure.and_then(|secure| secure.addr) else {
                let (file, key) = (file.to_owned(), "clientPort");
                return Err(ConfigError::Missing { file, key, example: "clientPort=2181" });
            };
            draft.config.clients.plain = false;
            addr
        }
    };
    draft.config.clients.addr = addr;
    Ok(())
}

fn auth(draft: &mut Draft, file: &Path) -> Result<(), ConfigError> {
    if draft.ensemble_provider {
        draft.config.auth.ensemble_names = Some(std::mem::take(&mut draft.ensemble_names));
    }
    let Located { line, value: enforced } = draft.enforce_auth;
    if !enforced {
        return Ok(());
    }
    let Located { line: schemes_line, value: schemes } = &draft.enforce_schemes;
    if schemes.is_empty() {
        let problem = "it is true, so enforce.auth.schemes must name at least one scheme";
        return Err(Problem::value(problem).at(file, line, "enforce.auth.enabled"));
    }
    if let Some(unknown) = schemes.iter().find(|scheme| !AUTH_SCHEMES.contains(&scheme.as_str())) {
        let known = AUTH_SCHEMES.join(", ");
        let problem = format!("there is no scheme \"{unknown}\"; there are {known}");
        return Err(Problem::value(problem).at(file, *schemes_line, "enforce.auth.schemes"));
    }
    draft.config.auth.enforced_schemes = Some(schemes.clone());
    Ok(())
}

fn addresses(draft: &mut Draft, file: &Path) -> Result<(), ConfigError> {
    if let Some(host) = &draft.admin_host {
        let port = draft.config.admin.addr.port();
        draft.config.admin.addr = resolve(&host.value, port)
            .map_err(|problem| problem.at(file, host.line, "admin.serverAddress"))?;
    }
    if draft.prometheus {
        let any = Located::new(0, "0.0.0.0".to_owned());
        let host = draft.metrics_host.as_ref().unwrap_or(&any);
        let addr = resolve(&host.value, draft.metrics_port)
            .map_err(|problem| problem.at(file, host.line, "metricsProvider.httpHost"))?;
        draft.config.metrics.prometheus_addr = Some(addr);
    }
    Ok(())
}
