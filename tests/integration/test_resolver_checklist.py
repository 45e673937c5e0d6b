"""What a forwarding DNS cache behind SOCKS5 has to get right: each item and the tests that hold it to that.

The items follow RFC 1928 and 1929 (1 to 20), 1035, 2181 and 3597 (21 to 34), 2308, 9520, 8020 and 8198 (35 to
45), 6891, 5625 and 7873 (46 to 55), 7766, 9210, 7858, 8484, 7830 and 8467 (56 to 66), 5452 (67 to 70), and
8767, 9156 and 6761 (71 to 75).
"""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).resolve().parent.parent

CLIENT = "sockslocal/socks5/test_client.py::"
MESSAGES = "sockslocal/socks5/test_messages.py::"
ERRORS = "sockslocal/socks5/test_errors.py::"
HEADERS = "sockslocal/socks5/test_datagram.py::"
OPENING = "sockslocal/net/test_udp_opening.py::"
LISTEN_TCP = "sockslocal/resolver/test_listen_tcp.py::"
LISTEN_UDP = "sockslocal/resolver/test_listen_udp.py::"
WIRE = "sockslocal/resolver/test_wire.py::"
RECORDS = "sockslocal/resolver/test_records.py::"
DIGEST = "sockslocal/resolver/test_digest.py::"
CACHE = "sockslocal/resolver/test_cache.py::"
ANSWER = "sockslocal/resolver/test_answer.py::"
PIPELINE = "sockslocal/resolver/test_pipeline.py::"
POLICY = "sockslocal/resolver/test_policy.py::"
RESOLVER = "sockslocal/resolver/test_resolver.py::"
STALE = "sockslocal/resolver/test_stale.py::"
UPSTREAM = "sockslocal/resolver/test_upstream.py::"
ASK_UDP = "sockslocal/resolver/test_ask_udp.py::"
ASK_TCP = "sockslocal/resolver/test_ask_tcp.py::"
TLS = "sockslocal/resolver/test_ask_tls.py::"
HTTPS = "sockslocal/resolver/test_ask_https.py::"
RFC8906 = "integration/test_rfc8906.py::"
UPSTREAMS = "integration/test_dns_upstreams.py::"


class Item(NamedTuple):
    """What has to hold, the tests that show it, and the reason where it does not apply as it stands."""

    claim: str
    tests: tuple[str, ...] = ()
    reason: str = ""


ITEMS = {
    1: Item(
        "The greeting offers user name and password only where there are any.",
        (CLIENT + "test_a_login_and_a_connection", CLIENT + "test_a_udp_association_without_login"),
    ),
    2: Item(
        "Method FF is told as such, and not asked for in a storm.",
        (
            CLIENT + "test_no_acceptable_method",
            "integration/test_bad_servers.py::test_a_fault_is_told_and_does_not_last",
        ),
    ),
    3: Item("The version of a login is 1.", (CLIENT + "test_a_status_with_the_version_of_socks",)),
    4: Item(
        "User and password have 1 to 255 octets.",
        (
            "sockslocal/credentials/test_limits.py::test_more_octets_are_counted_in_the_error",
            CLIENT + "test_credentials_that_are_too_long",
        ),
    ),
    5: Item(
        "A rejected login is not repeated in a loop.",
        ("sockslocal/net/test_login.py::test_a_rejected_login_is_not_repeated_for_a_while",),
    ),
    6: Item(
        "Replies have addresses of every type.", (CLIENT + "test_the_reply_in_any_pieces_with_any_address",)
    ),
    7: Item(
        "Each reply is an error of its own.",
        (ERRORS + "test_each_reply_has_its_class_and_phrase", ERRORS + "test_every_octet_is_an_answer"),
    ),
    8: Item(
        "What comes with the reply is delivered.",
        ("sockslocal/net/test_dialer.py::test_what_comes_with_the_reply_is_left_for_the_tunnel",),
    ),
    9: Item(
        "Names are sent as names of at most 255 octets.",
        (
            MESSAGES + "test_the_shortest_and_the_longest_name_are_sent",
            MESSAGES + "test_names_that_cannot_be_sent_are_refused",
            "sockslocal/test_address.py::test_hosts",
        ),
    ),
    10: Item(
        "IP addresses are sent as such, without zones.",
        (MESSAGES + "test_each_type_there_and_back", "sockslocal/test_address.py::test_no_hosts"),
    ),
    11: Item(
        "UDP ASSOCIATE names nothing, or the own port.",
        (OPENING + "test_what_is_asked_for", OPENING + "test_the_port_is_named"),
    ),
    12: Item("A relay at port 0 is a failure.", (OPENING + "test_a_relay_without_port",)),
    13: Item(
        "A relay without an address is at the server's own.",
        ("sockslocal/net/test_udp_relay_address.py::test_what_names_no_machine_is_replaced",),
    ),
    14: Item(
        "The end of the control connection is the association's.",
        (
            "sockslocal/net/test_association_ends.py::test_the_end_of_the_control_connection_is_the_associations",
        ),
    ),
    15: Item("Fragments are dropped.", (HEADERS + "test_what_cannot_be_used_is_dropped_with_its_reason",)),
    16: Item(
        "Broken headers are dropped, and the flow lives on.",
        (
            HEADERS + "test_every_cut_header_is_truncated",
            "integration/test_bad_relays.py::test_what_is_not_the_answer_does_not_arrive",
        ),
    ),
    17: Item(
        "Nobody but the relay is heard.",
        ("sockslocal/net/test_udp_relay_socket.py::test_nobody_else_is_heard",),
    ),
    18: Item(
        "Datagrams without octets pass.",
        ("integration/test_udp_server_quirks.py::test_empty_datagrams_pass_where_nothing_dies_of_them",),
    ),
    19: Item(
        "What is too large with its header is dropped and counted.",
        (
            "sockslocal/net/test_udp_transport.py::test_what_cannot_go_is_not_taken",
            "sockslocal/net/test_association.py::test_one_that_waits_and_cannot_go_is_dropped",
        ),
    ),
    20: Item(
        "After a refusal the connection ends, whoever closes it.",
        ("sockslocal/net/test_dialer_failures.py::test_a_server_that_does_not_close_after_a_refusal",),
    ),
    21: Item(
        "Less than a header is ignored; other than one question is FORMERR.",
        (
            WIRE + "test_less_than_a_header_is_ignored",
            WIRE + "test_other_than_one_question_is_a_format_error",
        ),
    ),
    22: Item(
        "Responses are never answered.",
        (WIRE + "test_responses_are_never_answered", LISTEN_UDP + "test_what_is_no_query_gets_no_reply"),
    ),
    23: Item(
        "Unknown opcodes are NOTIMP.",
        (WIRE + "test_unknown_opcodes_are_not_implemented", RFC8906 + "test_unknown_opcodes"),
    ),
    24: Item(
        "Names that cannot be spoil only their message.",
        (
            WIRE + "test_bad_names_are_format_errors",
            RECORDS + "test_malformed_records",
            LISTEN_TCP + "test_malformed_messages_cost_only_themselves",
        ),
    ),
    25: Item(
        "Data past the end is refused.",
        (RECORDS + "test_malformed_records", DIGEST + "test_malformed_messages_are_unusable"),
    ),
    26: Item(
        "Unknown types and classes pass.",
        (DIGEST + "test_unknown_types_pass_unchanged", RFC8906 + "test_other_classes"),
    ),
    27: Item(
        "Names are equal in any letter case, and the query's is echoed.",
        (WIRE + "test_names_are_equal_in_any_case", CACHE + "test_the_case_of_the_query_is_echoed"),
    ),
    28: Item(
        "Labels of any octets never collide.", (WIRE + "test_keys_of_different_questions_never_collide",)
    ),
    29: Item("TTLs of a set are its lowest.", (DIGEST + "test_ttls_within_an_rrset_become_equal",)),
    30: Item(
        "TTLs count down, and 0 is not kept.",
        (CACHE + "test_ttls_count_down", CACHE + "test_a_ttl_of_zero_is_not_kept"),
    ),
    31: Item(
        "A TTL with the highest bit is 0, as RFC 2181 has it.",
        (DIGEST + "test_a_ttl_with_the_highest_bit_is_zero",),
    ),
    32: Item(
        "Truncated answers are asked for by TCP.", (UPSTREAM + "test_a_truncated_answer_is_asked_for_by_tcp",)
    ),
    33: Item("Additional data is no answer.", (DIGEST + "test_only_the_questions_chain_is_answered",)),
    34: Item(
        "AA is clear, RA set, and AD not invented.",
        (CACHE + "test_header_bits_of_a_hit", CACHE + "test_nobody_vouches_for_what_is_stale"),
    ),
    35: Item(
        "Denials live as long as their SOA says.",
        (DIGEST + "test_a_denial_is_kept_as_long_as_its_soa_says",),
    ),
    36: Item(
        "Without an SOA they are not kept.", (DIGEST + "test_a_denial_without_a_fitting_soa_is_not_kept",)
    ),
    37: Item(
        "NXDOMAIN is of the name, NODATA of the type.",
        (
            CACHE + "test_a_name_that_does_not_exist_has_no_type_at_all",
            DIGEST + "test_no_data_denies_one_type_only",
        ),
    ),
    38: Item(
        "NXDOMAIN behind a CNAME denies the target.",
        (DIGEST + "test_nxdomain_behind_a_cname_denies_the_target_only",),
    ),
    39: Item("The SOA of a denial counts down.", (RESOLVER + "test_denials_are_kept_by_their_soa",)),
    40: Item(
        "Failures are kept for a second at least and never 5 minutes.",
        (
            CACHE + "test_failures_are_kept_longer_each_time",
            RESOLVER + "test_a_failing_name_is_not_asked_for_at_each_query",
        ),
    ),
    41: Item(
        "A server is tried three times at most.", (ASK_UDP + "test_an_unanswered_query_is_sent_three_times",)
    ),
    42: Item(
        "A failure never replaces an answer.",
        (
            CACHE + "test_a_failure_does_not_replace_an_answer",
            STALE + "test_a_remembered_failure_does_not_hide_what_is_stale",
        ),
    ),
    43: Item(
        "NXDOMAIN holds for all beneath the name, by choice.",
        reason="RFC 8020 leaves it to a forwarder; where servers deny names that have others beneath them, "
        "asking is safer. NXDOMAIN denies the name itself: see 37.",
    ),
    44: Item(
        "No denial is made of others.",
        reason="only who validates may make a denial of NSEC records (RFC 8198 §4); nothing here does",
    ),
    45: Item(
        "Troubles of ours are not the name's.",
        (
            PIPELINE + "test_troubles_of_ours_are_not_kept",
            UPSTREAM + "test_our_own_overload_is_not_held_against_it",
        ),
    ),
    46: Item(
        "OPT is not kept, nor copied from one side to the other.",
        (
            DIGEST + "test_opt_is_not_part_of_the_answer",
            CACHE + "test_opt_is_in_the_reply_only_if_in_the_query",
        ),
    ),
    47: Item(
        "No OPT in the query, none in the reply, and 512 octets at most.",
        (
            WIRE + "test_no_opt_in_the_query_means_none_in_the_reply",
            RFC8906 + "test_an_answer_too_large_is_truncated",
        ),
    ),
    48: Item(
        "Below 512 means 512, and ours is 1232.",
        (WIRE + "test_the_size_a_client_takes_is_bounded_both_ways",),
    ),
    49: Item(
        "Two OPTs, or one that is not the root's, are FORMERR.",
        (WIRE + "test_bad_additional_records_are_format_errors",),
    ),
    50: Item(
        "Other versions are BADVERS with version 0.",
        (
            WIRE + "test_unknown_edns_versions_are_told_ours",
            RFC8906 + "test_flags_versions_options_and_types",
        ),
    ),
    51: Item(
        "Unknown options and flags are ignored.",
        (
            WIRE + "test_unknown_edns_flags_and_options_are_ignored",
            RFC8906 + "test_flags_versions_options_and_types",
        ),
    ),
    52: Item(
        "Who does not know EDNS is asked without, and remembered.",
        (UPSTREAM + "test_an_upstream_without_edns_is_asked_without_it",),
    ),
    53: Item(
        "DO and CD have answers of their own.",
        (WIRE + "test_do_and_cd_are_part_of_the_key", CACHE + "test_do_and_cd_have_answers_of_their_own"),
    ),
    54: Item("The client's subnet stays here.", (POLICY + "test_the_clients_subnet_stays_here",)),
    55: Item(
        "Failures of ours say why.",
        (
            ANSWER + "test_our_own_failure_says_why_to_who_can_read_it",
            ANSWER + "test_a_reason_that_does_not_fit_is_left_out",
            CACHE + "test_every_hit_of_a_revived_answer_says_that_it_is_stale",
            CACHE + "test_a_failure_that_is_told_again_says_so",
        ),
    ),
    56: Item("TCP is wherever UDP is.", (RESOLVER + "test_ttls_count_down_over_udp_and_tcp",)),
    57: Item(
        "Messages may come in single octets, and leave with their length.",
        (
            LISTEN_TCP + "test_a_message_may_come_in_single_octets",
            LISTEN_TCP + "test_length_and_reply_leave_in_one_write",
            ASK_TCP + "test_length_and_message_leave_in_one_write",
        ),
    ),
    58: Item(
        "A hundred queries may wait on one connection.",
        (LISTEN_TCP + "test_a_hundred_queries_in_one_write_get_a_hundred_answers",),
    ),
    59: Item(
        "Who closes his side gets his answers.",
        (LISTEN_TCP + "test_a_client_that_closes_its_side_gets_its_answers",),
    ),
    60: Item(
        "Idle connections end, and so do those with impossible lengths.",
        (
            LISTEN_TCP + "test_an_idle_connection_is_closed",
            LISTEN_TCP + "test_idle_connections_end_sooner_where_there_are_many",
            LISTEN_TCP + "test_a_length_below_a_header_ends_the_connection",
        ),
    ),
    61: Item(
        "A connection that an upstream closes is replaced once.",
        (
            ASK_TCP + "test_a_connection_closed_with_queries_outstanding_is_replaced_once",
            HTTPS + "test_all_that_are_outstanding_are_asked_again_together",
            HTTPS + "test_who_goes_away_answers_what_it_has_begun",
        ),
    ),
    62: Item(
        "A slow query holds up no other.", (LISTEN_TCP + "test_a_slow_query_does_not_hold_up_the_others",)
    ),
    63: Item(
        "TLS checks the name, and its failure never downgrades.",
        (TLS + "test_a_server_that_is_not_who_it_should_be", UPSTREAMS + "test_a_certificate_that_is_wrong"),
    ),
    64: Item(
        "HTTPS: id 0, the client's own restored, only what is 2xx and a DNS message.",
        (
            HTTPS + "test_a_query_is_a_post_and_no_more",
            HTTPS + "test_what_is_no_dns_is_told",
            UPSTREAMS + "test_answers_are_those_of_the_server",
        ),
    ),
    65: Item(
        "The age of an HTTPS answer is taken off its TTLs.",
        (
            HTTPS + "test_age_is_taken_off_the_ttls",
            "sockslocal/resolver/test_age.py::test_an_age_is_taken_off_every_ttl",
        ),
    ),
    66: Item(
        "Queries are padded to 128 octets where they are encrypted, and only there.",
        (
            "sockslocal/resolver/test_options.py::test_a_padded_query_is_a_multiple_of_128",
            TLS + "test_a_query_is_answered_and_padded",
            UPSTREAM + "test_do_and_cd_are_passed_on_and_nothing_else_of_the_clients_edns",
        ),
        reason="responses are padded by whoever serves encrypted ones, which nothing here does",
    ),
    67: Item(
        "An answer has the id, the question in its letters, and the way of its query.",
        (
            WIRE + "test_a_response_answers_only_its_question",
            ASK_UDP + "test_an_answer_to_another_question_under_the_same_id_is_refused",
            "sockslocal/net/test_udp_delivery.py::test_what_is_from_another_remote_is_nobodys",
            "sockslocal/net/test_route.py::test_only_the_remote_is_heard",
            RESOLVER + "test_none_of_65535_forged_answers_is_believed",
        ),
    ),
    68: Item(
        "Ids cannot be guessed.",
        (
            ASK_UDP + "test_ids_are_spread_evenly",
            "sockslocal/resolver/test_channel.py::test_ids_are_unpredictable",
        ),
        reason="the port that the upstream sees is the server's to choose",
    ),
    69: Item(
        "Equal questions at a time are one query.",
        (
            PIPELINE + "test_identical_questions_are_asked_once",
            RESOLVER + "test_identical_questions_of_many_clients_are_one_query",
        ),
    ),
    70: Item(
        "What does not match is counted, ends nobody's wait, and leads to TCP.",
        (
            ASK_UDP + "test_forged_answers_are_counted_and_end_nobodys_wait",
            UPSTREAM + "test_forged_answers_lead_to_tcp",
            "integration/test_dns_forgery.py::test_a_flood_leads_to_tcp_and_none_of_it_is_kept",
        ),
    ),
    71: Item(
        "Stale answers come after a failed or slow refresh, with a TTL of 30, for as long as allowed.",
        (
            STALE + "test_a_fresh_answer_is_preferred",
            STALE + "test_a_slow_refresh_is_not_waited_for_and_still_counts",
            STALE + "test_a_fresh_denial_replaces_what_is_stale",
            STALE + "test_what_is_too_old_is_not_served",
            CACHE + "test_a_revived_answer_is_hit_for_30_seconds_with_ttls_of_30",
            "integration/test_dns_outage.py::test_stale_and_back",
        ),
    ),
    72: Item(
        "A refresh is tried every 30 s at most.",
        (
            STALE + "test_a_failed_refresh_is_no_failure_of_the_name",
            CACHE + "test_what_is_popular_is_prefetched_in_its_last_tenth",
        ),
    ),
    73: Item(
        "The full name is asked for.",
        (POLICY + "test_the_full_name_is_asked_for",),
        reason="RFC 9156 minimises names for those who ask the zones themselves",
    ),
    74: Item(
        "Special names do not leave.",
        (
            POLICY + "test_special_names_do_not_leave",
            "sockslocal/resolver/test_special_names.py::test_names_of_private_addresses_never_leave",
        ),
    ),
    75: Item(
        "Chains of CNAMEs end after 11, and loops are SERVFAIL.",
        (
            DIGEST + "test_chains_have_an_end",
            DIGEST + "test_records_have_a_bound",
            POLICY + "test_a_chain_of_cnames_ends",
            POLICY + "test_a_loop_of_cnames_is_a_failure",
        ),
    ),
}
"""By number."""


@cache
def named_in(path: str) -> frozenset[str]:
    """The names of the test functions in a file."""
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, functions))


@pytest.mark.parametrize("number", range(1, 76))
def test_each_item_has_a_test_or_a_reason(number: int) -> None:
    """Each test that is named is there."""
    item = ITEMS[number]
    assert item.tests or item.reason
    for test in item.tests:
        path, _, name = test.partition("::")
        assert name in named_in(path), test
