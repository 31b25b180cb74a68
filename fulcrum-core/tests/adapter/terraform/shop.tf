# The shop of tests/adapter/ec2_kinds.rs, as this adapter makes it: the same resources at the same server.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "endpoint" {}

provider "aws" {
  region                      = "eu-west-3"
  access_key                  = "AKIDEXAMPLE"
  secret_key                  = "secret"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  s3_use_path_style           = true
  endpoints {
    ec2   = var.endpoint
    elbv2 = var.endpoint
    rds   = var.endpoint
    s3    = var.endpoint
    sts   = var.endpoint
  }
}

locals {
  zones = ["eu-west-3a", "eu-west-3b", "eu-west-3c"]
}

resource "aws_vpc" "net" {
  cidr_block = "10.30.0.0/16"
}

resource "aws_internet_gateway" "net" {
  vpc_id = aws_vpc.net.id
}

resource "aws_default_route_table" "net" {
  default_route_table_id = aws_vpc.net.default_route_table_id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.net.id
  }
}

resource "aws_default_security_group" "net" {
  vpc_id = aws_vpc.net.id
  ingress {
    protocol    = "tcp"
    from_port   = 443
    to_port     = 443
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_subnet" "net" {
  count             = 3
  vpc_id            = aws_vpc.net.id
  cidr_block        = cidrsubnet("10.30.0.0/16", 4, count.index)
  availability_zone = local.zones[count.index]
}

resource "aws_instance" "web" {
  count                       = 3
  ami                         = "ami-785db401"
  instance_type               = "t3.nano"
  subnet_id                   = aws_subnet.net[0].id
  associate_public_ip_address = true
  user_data                   = "#cloud-config\nwrite_files: [{ path: /etc/shop, content: \"${aws_db_instance.db.id}\" }]\n"
  root_block_device {
    volume_type = "gp3"
    volume_size = 28
  }
}

resource "aws_db_instance" "db" {
  identifier          = "shop"
  instance_class      = "db.t4g.micro"
  engine              = "postgres"
  allocated_storage   = 20
  storage_type        = "gp3"
  username            = "shop"
  password            = "not-a-secret-of-anybody"
  db_subnet_group_name = aws_db_subnet_group.db.name
  skip_final_snapshot = true
}

resource "aws_db_subnet_group" "db" {
  name       = "shop"
  subnet_ids = aws_subnet.net[*].id
}

resource "aws_ebs_volume" "disk" {
  availability_zone = local.zones[0]
  size              = 30
  type              = "gp3"
}

resource "aws_volume_attachment" "disk" {
  device_name = "/dev/sdf"
  volume_id   = aws_ebs_volume.disk.id
  instance_id = aws_instance.web[0].id
}

resource "aws_eip" "address" {
  domain = "vpc"
}

resource "aws_eip_association" "address" {
  allocation_id = aws_eip.address.id
  instance_id   = aws_instance.web[0].id
}

resource "aws_lb" "balancer" {
  name               = "shop"
  load_balancer_type = "network"
  subnets            = aws_subnet.net[*].id
}

resource "aws_lb_target_group" "balancer" {
  name     = "shop"
  port     = 443
  protocol = "TCP"
  vpc_id   = aws_vpc.net.id
}

resource "aws_lb_target_group_attachment" "balancer" {
  count            = 3
  target_group_arn = aws_lb_target_group.balancer.arn
  target_id        = aws_instance.web[count.index].id
}

resource "aws_lb_listener" "balancer" {
  load_balancer_arn = aws_lb.balancer.arn
  port              = 443
  protocol          = "TCP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.balancer.arn
  }
}

resource "aws_s3_bucket" "files" {
  bucket = "shop-files"
}

resource "aws_s3_bucket_versioning" "files" {
  bucket = aws_s3_bucket.files.id
  versioning_configuration {
    status = "Enabled"
  }
}
