use super::*;

fn close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() <= 1e-9 + expected.abs() * 1e-6, "{actual} is not {expected}");
}

#[test]
fn a_quantile_is_an_element_of_the_sample() {
    let sorted = [10, 20, 30, 40];
    for (q, expected) in [(0.0, 10), (0.25, 10), (0.26, 20), (0.5, 20), (0.75, 30), (0.9, 40), (1.0, 40)] {
        assert_eq!(nearest_rank(&sorted, q), Some(expected), "{q}");
    }
    assert_eq!(nearest_rank(&[7], 0.5), Some(7));
    assert_eq!(nearest_rank::<i64>(&[], 0.5), None);
    // 20 values: p95 is the 19th, not the largest.
    let twenty: Vec<u32> = (1..=20).collect();
    assert_eq!(nearest_rank(&twenty, 0.95), Some(19));
    assert_eq!(nearest_rank(&twenty, 0.99), Some(20));
}

#[test]
fn wilson_intervals_are_those_of_the_formula() {
    // Worked out in Python from the closed form.
    for (count, total, low, high) in [
        (8, 10, 0.490_162_471_5, 0.943_317_848_5),
        (0, 5, 0.0, 0.434_482_463_2),
        (10, 10, 0.722_467_200_1, 1.0),
        (19, 20, 0.763_868_806_6, 0.991_118_551_2),
    ] {
        let share = wilson(count, total).expect("something to have a share of");
        close(share.low, low);
        close(share.high, high);
    }
    assert_eq!(wilson(0, 0), None);
}

#[test]
fn outliers_are_measured_by_median_and_mad() {
    // Median 12; deviations 2 1 0 1 28, their median 1: 0.6745 * 28.
    close(robust_z(40.0, &[10.0, 11.0, 12.0, 13.0, 40.0]).expect("peers differ"), 18.886);
    // More than half are equal, so the MAD is 0; mean absolute deviation 1: (16 - 10) / 1.253314.
    close(robust_z(16.0, &[10.0, 10.0, 10.0, 10.0, 15.0]).expect("one differs"), 4.787_307_889);
    assert_eq!(robust_z(16.0, &[10.0, 10.0]), None);
    assert_eq!(robust_z(16.0, &[]), None);
    close(median(&[4.0, 1.0, 3.0, 2.0]).expect("values"), 2.5);
}

#[test]
fn students_t_has_the_tails_of_its_density() {
    // By numerical integration of the density; the first is also in every table (0.0734).
    for (t, freedom, expected) in [
        (2.0, 10.0, 0.073_388_034_77),
        // Cauchy: a quarter on each side of 1.
        (1.0, 1.0, 0.5),
        (0.5, 3.7, 0.645_335_633_3),
        (4.0, 25.0, 0.000_495_443_670_5),
        (-3.2, 8.5, 0.011_655_059_88),
        (1.96, 100_000.0, 0.049_998_563_19),
    ] {
        close(student_two_sided(t, freedom), expected);
    }
}

#[test]
fn welch_compares_geometric_means() {
    // Worked out in Python: t = 3.6667, 9.884 degrees of freedom.
    let before: LogMoments = [10.0, 12.0, 9.0, 11.0, 13.0, 10.5].into_iter().collect();
    let after: LogMoments = [14.0, 15.0, 13.0, 16.0, 18.0, 12.0].into_iter().collect();
    let comparison = welch(&before, &after).expect("enough values");
    close(comparison.ratio, 1.341_110_454_8);
    assert!((comparison.p_value - 0.004_426_083_06).abs() < 1e-8, "{}", comparison.p_value);
    assert!(comparison.is_significant());
}

#[test]
fn neither_chance_nor_trifles_are_changes() {
    let before: LogMoments = [10.0, 12.0, 9.0, 11.0, 13.0].into_iter().collect();
    let same = welch(&before, &before).expect("enough values");
    close(same.ratio, 1.0);
    assert!(!same.is_significant());
    let trifle = Comparison { ratio: 1.01, p_value: 0.0 };
    assert!(!trifle.is_significant());
    let few: LogMoments = [100.0, 120.0].into_iter().collect();
    assert_eq!(welch(&before, &few), None);
    // Without any spread every difference is certain, and none is none.
    let (tens, twenties): (LogMoments, LogMoments) = ([10.0; 6].into_iter().collect(), [20.0; 6].into_iter().collect());
    assert_eq!(welch(&tens, &tens).map(|comparison| comparison.p_value), Some(1.0));
    assert!(welch(&tens, &twenties).is_some_and(|comparison| comparison.is_significant()));
}

#[test]
fn shares_of_errors_are_compared() {
    // z = 3.2359, worked out in Python.
    let comparison = two_proportions((30, 1_000), (60, 1_000)).expect("errors");
    close(comparison.ratio, 2.0);
    close(comparison.p_value, 0.001_212_496_586);
    assert_eq!(two_proportions((0, 100), (0, 100)), None);
    assert_eq!(two_proportions((1, 2), (1, 100)), None);
}
